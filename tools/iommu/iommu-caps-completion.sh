# SPDX-License-Identifier: GPL-2.0
# bash completion for iommu-caps                          -*- shell-script -*-

_iommu_caps()
{
	local line=${COMP_LINE:0:COMP_POINT} words='' prefix=''
	local typed=${line##*[[:space:]]}
	local before=${line%"$typed"}

	before=${before%"${before##*[![:space:]]}"}
	case ${before##*[[:space:]]},$typed in
	-n,*|--need,*|*,--need=*)
		prefix=${typed%"${typed##*[,=]}"}
		# A number is not completed.
		[[ ${typed#--need=} =~ =[^,]*$ ]] ||
			words="help $(iommu-caps --need help 2>/dev/null |
				sed 's/ .*//; s/=[A-Z]*$/=/')"
		;;
	--root,*)
		mapfile -t COMPREPLY < <(compgen -d -- "$typed")
		return
		;;
	*,-*)
		words="--ask --need --compare --json --quiet --root --help"
		;;
	*)
		if [[ $line =~ [[:space:]](-c|--compare)[[:space:]] ]]; then
			mapfile -t COMPREPLY < <(compgen -f -- "$typed")
			return
		fi
		words=$(cd /sys/kernel/iommu_groups 2>/dev/null && printf '%s\n' *
			cd /sys/bus/pci/devices 2>/dev/null && printf '%s\n' *)
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -P "$prefix" -W "$words" -- "${typed#"$prefix"}")
	[[ ${COMPREPLY[*]} != *= ]] || compopt -o nospace 2>/dev/null
	# Bash has split the word at = and : too, and replaces the last piece.
	COMPREPLY=("${COMPREPLY[@]#"${typed%"$2"}"}")
}

complete -F _iommu_caps iommu-caps
