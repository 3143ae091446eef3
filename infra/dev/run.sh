#!/bin/sh
# Runs Warren until Ctrl-C. Python prints a traceback for a Ctrl-C that comes while it starts and imports, so it is
# shielded from that (as every command that sh runs with & is) and sent SIGTERM instead, which ends it without a word
# until it has handlers of its own.
trap 'again=1; if [ "$!" ]; then kill -s TERM "$!" 2>/dev/null; else exit 130; fi' INT TERM HUP
python -m warren_dev.run &
while
  again= # a signal ends wait before the program does
  wait "$!" 2>/dev/null # where sh writes "Terminated"
  status=$?
  [ $status = 127 ] || code=$status # there is nothing to wait for any more
  [ "$again" ]
do :; done
exit "$code"
