#!/bin/sh
# Starts one of the lab's own plugins with the checkout's Python, by the name of the link in bin/
# that it is called by. PYTHONPATH is not the way to it: what a plugin starts would have it too.
program=$(readlink -f -- "$0") && root=${program%/lab/plugins/*} || exit
case ${0##*/} in
pulumi-language-python) module=language_host ;;
pulumi-resource-*) module=${0##*/pulumi-resource-}_provider ;;
*) echo "$0: call it by the name of a link in $root/lab/plugins/bin" >&2 && exit 2 ;;
esac
python=$root/.venv/bin/python
[ -x "$python" ] || python=python3
exec "$python" -c '
import importlib, sys
sys.path[0] = sys.argv.pop(1)
importlib.import_module("lab.plugins." + sys.argv.pop(1)).main()
' "$root" "$module" "$@"
