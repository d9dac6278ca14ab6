#!/usr/bin/env bash
# Makes the boot media that no package has, from what eng/fetch-guests.sh fetched: guests/media/debian-grub.iso, a CD on which GRUB boots
# Debian's kernel with busybox's root folder. Needs grub-mkrescue with GRUB's modules for PC BIOSes, and xorriso. What is newer than what it
# is made of is kept.
set -euo pipefail
cd "$(dirname "$0")/.."
guests=$PWD/guests
iso=$guests/media/debian-grub.iso
kernel=$guests/vmlinuz-cloud-amd64
root=$guests/rootfs-amd64
modules=/usr/lib/grub/i386-pc

fail() { echo "make-media: $*" >&2; exit 1; }
for tool in grub-mkrescue xorriso gzip; do
  command -v "$tool" >/dev/null || fail "$tool is missing; Debian's packages grub-common, grub-pc-bin, xorriso and mtools have what is needed."
done
[ -d "$modules" ] || fail "$modules is missing; Debian's package grub-pc-bin has it."
for part in "$kernel" "$root/bin/busybox" "$root/init"; do
  [ -s "$part" ] || fail "$part is missing; eng/fetch-guests.sh fetches it."
done

is_newer() { [ "$iso" -nt "$kernel" ] && [ "$iso" -nt "$root/bin/busybox" ] && [ "$iso" -nt eng/fetch-guests.sh ] && [ "$iso" -nt eng/make-media.sh ]; }
if is_newer; then
  echo "media/debian-grub.iso: here already"
  exit
fi

work=$(mktemp -d)
trap 'rm -rf -- "$work" "$iso.part"' EXIT
disc=$work/disc
mkdir -p "$disc/boot/grub" "$(dirname "$iso")"
cp "$kernel" "$disc/boot/vmlinuz"
(cd "$root" && find . | "$root/bin/busybox" cpio -o -H newc -R 0:0 2>/dev/null) | gzip -9 >"$disc/boot/initrd.gz"
cat >"$disc/boot/grub/grub.cfg" <<'MENU'
set timeout=-1
menuentry "Debian to a shell on COM1" {
  linux /boot/vmlinuz console=tty0 console=ttyS0
  initrd /boot/initrd.gz
}
MENU
# Without what only graphical menus need.
grub-mkrescue --directory="$modules" --locales= --fonts= --themes= --output="$iso.part" "$disc" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "grub-mkrescue failed."; }
mv "$iso.part" "$iso"
echo "media/debian-grub.iso: $(basename "$kernel"), rootfs-amd64 and $(grub-mkrescue --version | head -n 1)"
