# For scripts that use the network: source it.

# retry COMMAND...: five attempts with growing pauses.
retry() {
  local attempt
  for attempt in 1 2 3 4 5; do
    "$@" && return 0
    [ "$attempt" = 5 ] || sleep $((attempt * attempt * 2))
  done
  return 1
}
