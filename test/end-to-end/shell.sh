#!/bin/sh
# A site from the first command to the last, by the command line alone. Run by shell.test.ts, which gives:
#   mooring     on PATH, as the daemon's user
#   FOLDER      the site's folder; it belongs to the CMS, uid 33, and its group
#   REMOTE      the repository's address for git, with a token in it
#   WORK        an empty folder
set -eu

step() { printf '== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
as_cms() { setpriv --reuid=33 --regid=33 --clear-groups sh -c "cd \"$FOLDER\" && $1"; }
is() { [ "$1" = "$2" ] || fail "$3: «$1» is not «$2»"; }
code() { "$@" > /dev/null 2>&1 && echo 0 || echo $?; }
from_gitlab() { git -C "$WORK/clone" pull --quiet && cat "$WORK/clone/$1"; }

step 'add the folder as a site'
mooring site add Harbour "$FOLDER"
mooring status | grep -q '^Harbour  *Not connected' || fail 'it is not listed'

step 'read the plan, and connect exactly as it says'
connect() { mooring connect Harbour --connection @ana --repository harbour/website --branch main "$@"; }
connect --plan | tee "$WORK/plan"
grep -q '^  Removed  *1$' "$WORK/plan" || fail 'the plan does not count before.txt'
is "$(code connect --consent "$(echo 0 | sha256sum | cut -c1-32)")" 75 'a plan that is no more'
connect --consent "$(sed -n 's/^Plan //p' "$WORK/plan")"

step 'wait until it is in sync'
mooring sync Harbour --wait
mooring status Harbour | grep -q '^State  *In sync' || fail 'it is not in sync'
[ ! -e "$FOLDER/before.txt" ] || fail 'before.txt was not replaced'
git clone --quiet "$REMOTE" "$WORK/clone"
git -C "$WORK/clone" config user.name Bo
git -C "$WORK/clone" config user.email bo@example.test

step 'the CMS edits a file; after “sync --wait” it is on GitLab'
as_cms 'umask 002; echo "saved by the CMS" > index.html'
mooring sync Harbour --wait
is "$(from_gitlab index.html)" 'saved by the CMS' 'index.html on GitLab'

step 'both sides change the same line'
mooring pause Harbour
as_cms 'echo "changed here" > index.html'
echo 'changed on GitLab' > "$WORK/clone/index.html"
git -C "$WORK/clone" commit --quiet --all --message 'Change the page'
git -C "$WORK/clone" push --quiet
mooring resume Harbour
mooring sync Harbour --wait
mooring conflicts Harbour | tee "$WORK/conflicts"
grep -q 'index\.html$' "$WORK/conflicts" || fail 'the conflict is not listed'
is "$(cat "$FOLDER/index.html")" 'changed on GitLab' 'the policy is that the repository wins'

step 'resolve it for the folder’s version'
mooring resolve Harbour index.html --use site
mooring sync Harbour --wait
is "$(cat "$FOLDER/index.html")" 'changed here' 'index.html in the folder'
is "$(from_gitlab index.html)" 'changed here' 'index.html on GitLab'
mooring conflicts Harbour | grep -qx 'There are no conflicts.' || fail 'the conflict is still listed'
as_cms 'echo "the CMS can still save" >> index.html' || fail 'the CMS cannot save any more'

step 'restore what connecting had removed'
version=$(mooring restore Harbour | awk '/ connect / { print $1; exit }')
mooring restore Harbour "$version" --file before.txt
mooring sync Harbour --wait
is "$(cat "$FOLDER/before.txt")" 'only here before' 'before.txt in the folder'
is "$(from_gitlab before.txt)" 'only here before' 'before.txt on GitLab'

step 'the log tells all of it'
mooring log Harbour | tee "$WORK/log"
for result in connected pushed merged; do
  grep -q " $result " "$WORK/log" || fail "the log has no run that $result"
done

step 'refusals have their exit codes'
is "$(code mooring status Nobody)" 64 'an unknown site'
is "$(code mooring site remove Harbour --yes)" 1 'a connected site'
is "$(code mooring --state /nowhere status)" 69 'no daemon'

step 'disconnect and remove; the files stay'
mooring disconnect Harbour --yes
mooring site remove Harbour --yes
[ -e "$FOLDER/index.html" ] || fail 'the files are gone'
mooring status
step 'done'
