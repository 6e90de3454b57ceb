#!/bin/sh
# Runs one git command that talks to the network, under limits that also hold for its children: `timeout` ends the
# whole process group, so no git-remote-https outlives its caller with a token in its environment; `prlimit` stops a
# repository that unpacks to more than anybody meant.
# MOORING_RUN_SECONDS, MOORING_RUN_FILE_BYTES: set by the daemon; git's own path comes in MOORING_GIT.
# What moves no bytes for half a minute ends by git's own low-speed limit. Six hours are for what moves on and on: a
# large repository over a slow line must come to an end some day.

# For a daemon that starts after ours was killed: our process id and start time (see src/git/orphans.ts).
note() {
  read -r stat <"/proc/$$/stat" || return
  # The twentieth word after the name in brackets, which may hold spaces.
  set -- ${stat##*)}
  true >"$MOORING_RUN_NOTES/$$-${20}"
}
[ -d "${MOORING_RUN_NOTES:-}" ] && note 2>/dev/null

limit="--fsize=${MOORING_RUN_FILE_BYTES:-10737418240} --core=0"
exec timeout --signal=TERM --kill-after=5 "${MOORING_RUN_SECONDS:-21600}" prlimit $limit "${MOORING_GIT:-/usr/bin/git}" "$@"
