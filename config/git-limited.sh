#!/bin/sh
# Runs one git command that uses the network, under limits that also apply to its child processes. `timeout` ends the
# whole process group, so that no git-remote-https outlives its caller with a token in its environment. `prlimit` limits
# the size of each file, which stops a repository that unpacks to more than expected.
# The daemon sets MOORING_RUN_SECONDS, MOORING_RUN_FILE_BYTES and MOORING_GIT, the path of git.
# Git's own low-speed limit ends a transfer that stalls for half a minute. The limit of six hours is for transfers that
# keep moving: even a large repository over a slow connection must end at some point.

# Records the process ID and start time of this process. If the daemon is killed, the next one finds the process by them
# (see src/git/orphans.ts).
note() {
  read -r stat <"/proc/$$/stat" || return
  # The start time is the twentieth word after the name in parentheses. The name may contain spaces.
  set -- ${stat##*)}
  true >"$MOORING_RUN_NOTES/$$-${20}"
}
[ -d "${MOORING_RUN_NOTES:-}" ] && note 2>/dev/null

limit="--fsize=${MOORING_RUN_FILE_BYTES:-10737418240} --core=0"
exec timeout --signal=TERM --kill-after=5 "${MOORING_RUN_SECONDS:-21600}" prlimit $limit "${MOORING_GIT:-/usr/bin/git}" "$@"
