#!/usr/bin/env bash
# Sequential reads and writes of 256 MiB through virtio-blk with dd, in Ringfence and in QEMU's TCG, one after the other in one call: Debian's
# kernel on a fresh raw image, the guest's own clock. Prints megabytes a second and the ratio.
#
#   bench/disks.sh                # raw image; FORMAT=qcow2 bench/disks.sh for the other
#
# Needs eng/fetch-guests.sh's guests, cpio, qemu-utils and qemu-system-x86.
set -euo pipefail
cd "$(dirname "$0")/.."
format=${FORMAT:-raw}
work=artifacts/bench
rm -rf "$work/disks" && mkdir -p "$work/disks"
cp -r guests/rootfs-amd64 "$work/disks/initrd"
cp -r guests/modules-amd64/modules "$work/disks/initrd/"
cat >"$work/disks/initrd/autorun" <<'GUEST'
#!/bin/sh
sh /modules/load 2>/dev/null
busybox usleep 300000
timed() { a=$(cut -d' ' -f1 /proc/uptime); "$@" 2>/dev/null; b=$(cut -d' ' -f1 /proc/uptime); echo "$a $b"; }
w=$(timed dd if=/dev/zero of=/dev/vda bs=1M count=256 conv=fsync)
echo 3 > /proc/sys/vm/drop_caches
r=$(timed dd if=/dev/vda of=/dev/null bs=1M count=256)
echo "DISK $w $r"
poweroff -f
GUEST
chmod +x "$work/disks/initrd/autorun"
(cd "$work/disks/initrd" && find . | LC_ALL=C sort | cpio -o -H newc --quiet | gzip -1) >"$work/disks/initrd.gz"
image() { rm -f "$work/disks/disk" && qemu-img create -q -f "$format" "$work/disks/disk" 1G; }
image
ours=$(dotnet src/Ringfence.Cli/bin/Release/net10.0/Ringfence.Cli.dll run --kernel guests/vmlinuz-amd64 --initrd "$work/disks/initrd.gz" \
  --append "console=ttyS0 quiet" --memory 512M --disk "$work/disks/disk,format=$format" </dev/null 2>/dev/null | tr -d '\r' | sed -n 's/^DISK //p')
image
theirs=$(qemu-system-x86_64 -accel tcg -cpu max -m 512 -nographic -no-reboot -nodefaults -serial stdio -kernel guests/vmlinuz-amd64 \
  -initrd "$work/disks/initrd.gz" -append "console=ttyS0 quiet" -drive "file=$work/disks/disk,format=$format,if=virtio" </dev/null 2>/dev/null | tr -d '\r' | sed -n 's/^.*DISK //p')
awk -v o="$ours" -v t="$theirs" 'BEGIN {
  split(o, a, " "); split(t, b, " ");
  printf "%-8s %12s %12s %8s\n", "256 MiB", "ringfence", "qemu", "ratio";
  printf "%-8s %7.0f MB/s %7.0f MB/s %8.2f\n", "write", 268.4 / (a[2] - a[1]), 268.4 / (b[2] - b[1]), (b[2] - b[1]) / (a[2] - a[1]);
  printf "%-8s %7.0f MB/s %7.0f MB/s %8.2f\n", "read", 268.4 / (a[4] - a[3]), 268.4 / (b[4] - b[3]), (b[4] - b[3]) / (a[4] - a[3]);
}'
