#!/bin/sh
# A worker in the POSIX shell: each line of its input is a call, each line of its output an answer.
# `snakepit lines` serves it: command = ["snakepit", "lines", "./worker.sh"]

tool() { printf '{"name":"%s","description":"%s","streaming":%s,"parameters":{"type":"object","properties":%s}}' "$@"; }
printf '{"runtime":"sh","tools":[%s,%s,%s,%s,%s,%s]}\n' \
  "$(tool add 'Adds two numbers.' false '{"a":{"type":"number"},"b":{"type":"number"}}')" \
  "$(tool echo 'Returns its argument.' false '{"value":{}}')" \
  "$(tool count 'Streams the numbers below n.' true '{"n":{"type":"integer"}}')" \
  "$(tool fail 'Fails with this message.' false '{"message":{"type":"string"}}')" \
  "$(tool sleep 'Waits.' false '{"seconds":{"type":"number"}}')" \
  "$(tool host 'Names the machine.' false '{}')"

# field NAME: the value of an entry that is a number or a name
field() { printf '%s' "$line" | sed -n "s/.*\"$1\":\"\{0,1\}\([^,\"}]*\).*/\1/p"; }

while IFS= read -r line; do
  id=$(printf '%s' "$line" | sed 's/^{"id":\([0-9]*\).*/\1/')
  name=$(printf '%s' "$line" | sed 's/^{"id":[0-9]*,"tool":"\([^"]*\)".*/\1/')
  # The arguments come last: {"id":1,"tool":"add","session":"","args":{"a":1,"b":2}}
  args=${line#*\"args\":}
  args=${args%\}}
  case $name in
    add) result=$(awk -v a="$(field a)" -v b="$(field b)" 'BEGIN { print a + b }') ;;
    echo) result=${args#\{\"value\":} result=${result%\}} ;;
    host) result="\"$(uname -n)\"" ;;
    sleep) sleep "$(field seconds)" && result=null ;;
    count)
      i=0 n=$(field n)
      while [ "$i" -lt "$n" ]; do
        printf '{"id":%s,"chunk":%s}\n' "$id" "$i"
        i=$((i + 1))
      done
      printf '{"id":%s,"end":true}\n' "$id"
      continue
      ;;
    fail)
      message=${args#\{\"message\":}
      printf '{"id":%s,"error":{"type":"Failure","message":%s}}\n' "$id" "${message%\}}"
      continue
      ;;
  esac
  printf '{"id":%s,"result":%s}\n' "$id" "$result"
done
