@REFUSE_OLDER@
# Not the first installation: a package that is older, or newer, takes over.
if [ "$1" -ge 2 ]; then
    refuse_older || exit 1
fi
