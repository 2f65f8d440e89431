# SPDX-License-Identifier: GPL-2.0-or-later
#
# The devices that the VT-d nesting tests need, and no others.  Use with
#   --without-default-devices --with-devices-x86_64=lab

CONFIG_Q35=y
CONFIG_VTD=y
CONFIG_VFIO_PCI=y

# Root ports, and a conventional bus behind a bridge (requester-id aliasing)
CONFIG_PCIE_PORT=y
CONFIG_PCI_BRIDGE=y
CONFIG_PCIE_PCI_BRIDGE=y

CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_9P=y
CONFIG_VIRTIO_BLK=y
CONFIG_VIRTIO_SERIAL=y
CONFIG_VIRTIO_MEM=y

# Endpoints that do DMA under a test's control
CONFIG_PASID_TESTDEV=y
CONFIG_PCI_TESTDEV=y
CONFIG_EDU=y
