#!/usr/bin/env bash
# How many updates a second a VNC client sees while a guest scrolls text at 1024x768, in Ringfence and in QEMU's TCG, one after the other in one
# call: Debian's kernel with bochs-drm and its frame buffer console, `cat` of a text to tty1 without end, bench/vnc-client.py. Prints updates a second,
# megabytes a second, and the part of the screen that an update had.
#
#   bench/vnc.sh                  # SECONDS_EACH=10, ENCODINGS="zrle raw"
#
# Needs eng/fetch-guests.sh's guests, cpio, python3 and qemu-system-x86.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-10}
work=artifacts/bench/vnc
display=${DISPLAY_NUMBER:-57}
rm -rf "$work" && mkdir -p "$work"
cp -r guests/rootfs-amd64 "$work/initrd"
cp -r guests/display-amd64/display "$work/initrd/"
cat >"$work/initrd/autorun" <<'GUEST'
#!/bin/sh
sh /display/load
busybox usleep 500000
head -c 42000 /dev/urandom | hexdump -ve '42/1 "%02x " "\n"' >/tmp/text
echo SCROLLING
while :; do cat /tmp/text; done >/dev/tty1
GUEST
chmod +x "$work/initrd/autorun"
(cd "$work/initrd" && find . | LC_ALL=C sort | cpio -o -H newc --quiet | gzip -1) >"$work/initrd.gz"

# measure NAME COMMAND...: runs a monitor, and the client beside it for each encoding.
measure() {
  local name=$1 monitor encoding
  shift
  "$@" </dev/null >"$work/$name.log" 2>&1 &
  monitor=$!
  for _ in $(seq 120); do grep -q SCROLLING "$work/$name.log" && break; sleep 1; done
  for encoding in ${ENCODINGS:-zrle raw}; do
    printf '%-10s %-5s %s\n' "$name" "$encoding" "$(python3 bench/vnc-client.py 127.0.0.1 $((5900 + display)) "$seconds" "$encoding")"
  done
  kill "$monitor" && wait "$monitor" 2>/dev/null || true
}

printf '%-10s %-5s %s\n' monitor '' 'updates/s MB/s part'
measure ringfence dotnet src/Ringfence.Cli/bin/Release/net10.0/Ringfence.Cli.dll run --kernel guests/vmlinuz-amd64 --initrd "$work/initrd.gz" \
  --append "console=ttyS0 quiet video=1024x768" --memory 512M --vnc ":$display,password=none"
measure qemu qemu-system-x86_64 -accel tcg -cpu max -m 512 -nodefaults -no-reboot -vga std -serial stdio -monitor none -vnc "127.0.0.1:$display" \
  -kernel guests/vmlinuz-amd64 -initrd "$work/initrd.gz" -append "console=ttyS0 quiet video=1024x768"
