#!/bin/sh
# A site from the first request to the last, by curl alone. Run by shell.test.ts, which gives:
#   MOORING     the daemon's address
#   TOKEN       of an admin, with every scope
#   NODE        to read JSON with
#   FOLDER      the site's folder; it belongs to the CMS, uid 33, and its group
#   REMOTE      the repository's address for git, with a token in it
#   WORK        an empty folder
set -eu

step() { printf '== %s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
as_cms() { setpriv --reuid=33 --regid=33 --clear-groups sh -c "cd \"$FOLDER\" && $1"; }
is() { [ "$1" = "$2" ] || fail "$3: «$1» is not «$2»"; }
from_gitlab() { git -C "$WORK/clone" pull --quiet && cat "$WORK/clone/$1"; }

umask 077
printf 'Authorization: Bearer %s\n' "$TOKEN" > "$WORK/auth"
call() { # method path [body]
  method=$1 path=$2
  shift 2
  curl --fail-with-body -sS -X "$method" -H @"$WORK/auth" ${1:+--json "$1"} "$MOORING/api/v1$path"
}
status() { curl -sS -o /dev/null -w '%{http_code}' -X "$1" -H @"$WORK/auth" ${3:+--json "$3"} "$MOORING/api/v1$2"; }
json() { "$NODE" -e 'const a = JSON.parse(require("fs").readFileSync(0, "utf8")); console.log(eval(`a${process.argv[1]}`))' "$1"; }
sync() { call POST "/sites/$SITE/sync?wait=true" | json .state; }

step 'add the folder as a site'
SITE=$(call POST /sites "{\"name\": \"Harbour\", \"folder\": \"$FOLDER\"}" | json .id)
is "$(call GET "/sites/$SITE" | json .state)" off 'its state'

step 'read the plan, and connect exactly as it says'
connection=$(call GET /connections | json '.connections[0].id')
repository=$(call GET "/connections/$connection/repositories?search=website" | json '.repositories.find(({ path }) => path === "harbour/website").id')
to="\"repository\": $repository, \"branch\": \"main\""
call POST "/sites/$SITE/connect/plan" "{$to}" > "$WORK/plan"
is "$(json .removed < "$WORK/plan")" 1 'before.txt in the plan'
is "$(status POST "/sites/$SITE/connect" "{$to, \"plan\": \"$(echo 0 | sha256sum | cut -c1-32)\"}")" 409 'a plan that is no more'
call POST "/sites/$SITE/connect" "{$to, \"plan\": \"$(json .id < "$WORK/plan")\"}" > "$WORK/connected"

step 'wait until it is in sync'
is "$(sync)" in-sync 'the state'
[ ! -e "$FOLDER/before.txt" ] || fail 'before.txt was not replaced'
git clone --quiet "$REMOTE" "$WORK/clone"
git -C "$WORK/clone" config user.name Bo
git -C "$WORK/clone" config user.email bo@example.test

step 'the CMS edits a file; after the sync it is on GitLab'
as_cms 'umask 002; echo "saved by the CMS" > index.html'
is "$(sync)" in-sync 'the state'
is "$(from_gitlab index.html)" 'saved by the CMS' 'index.html on GitLab'

step 'both sides change the same line'
call POST "/sites/$SITE/pause" > "$WORK/paused"
as_cms 'echo "changed here" > index.html'
echo 'changed on GitLab' > "$WORK/clone/index.html"
git -C "$WORK/clone" commit --quiet --all --message 'Change the page'
git -C "$WORK/clone" push --quiet
call POST "/sites/$SITE/resume" > "$WORK/resumed"
sync > "$WORK/state"
is "$(cat "$FOLDER/index.html")" 'changed on GitLab' 'the policy is that the repository wins'
conflict=$(call GET "/sites/$SITE/conflicts" | json '.conflicts.find(({ path }) => path === "index.html").id')

step 'resolve it for the folder’s version'
call POST "/sites/$SITE/conflicts/$conflict" '{"use": "site"}' > "$WORK/resolved"
sync > "$WORK/state"
is "$(cat "$FOLDER/index.html")" 'changed here' 'index.html in the folder'
is "$(from_gitlab index.html)" 'changed here' 'index.html on GitLab'
as_cms 'echo "the CMS can still save" >> index.html' || fail 'the CMS cannot save any more'

step 'restore what connecting had removed'
version=$(call GET "/sites/$SITE/kept" | json '.versions.find(({ cause }) => cause === "connect").id')
file=$(call GET "/sites/$SITE/kept/$version" | json '.files.find(({ path }) => path === "before.txt").id')
call POST "/sites/$SITE/kept/$version/restore" "{\"file\": \"$file\"}" > "$WORK/restored"
sync > "$WORK/state"
is "$(cat "$FOLDER/before.txt")" 'only here before' 'before.txt in the folder'
is "$(from_gitlab before.txt)" 'only here before' 'before.txt on GitLab'

step 'the activity tells all of it'
call GET "/sites/$SITE/activity?limit=50" > "$WORK/activity"
for result in connected pushed merged; do
  json '.runs.map(({ result }) => result).join(" ")' < "$WORK/activity" | grep -q "$result" || fail "no run $result"
done

step 'refusals have their statuses'
is "$(status GET /sites/nobody)" 404 'an unknown site'
is "$(status DELETE "/sites/$SITE")" 409 'a connected site'
is "$(curl -sS -o /dev/null -w '%{http_code}' "$MOORING/api/v1/sites")" 401 'no token'

step 'disconnect and remove; the files stay'
call POST "/sites/$SITE/disconnect" > "$WORK/disconnected"
is "$(status DELETE "/sites/$SITE")" 204 'the removal'
[ -e "$FOLDER/index.html" ] || fail 'the files are gone'
step 'done'
