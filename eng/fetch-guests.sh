#!/usr/bin/env bash
# Fetches the Debian guests that tests and benchmarks boot into the ignored folder guests/, with apt-get and dpkg-deb,
# without installing anything: package indexes and downloads live in guests/.apt, so the host's own are left alone.
# What is there already is kept; remove the folder to fetch anew. Needs no root.
set -euo pipefail
cd "$(dirname "$0")/.."
. eng/retry.sh
guests=$PWD/guests
state=$guests/.apt
mkdir -p "$state"

fail() { echo "fetch-guests: $*" >&2; exit 1; }
for tool in apt-get apt-cache dpkg-deb tar; do
  command -v "$tool" >/dev/null || fail "$tool is missing; the guests come from a Debian archive."
done

# apt ARCHITECTURE TOOL ARGUMENTS...: apt of one architecture with private state, the host's sources and keys.
apt() {
  local architecture=$1 tool=$2
  shift 2
  "$tool" -o APT::Architecture="$architecture" -o APT::Architectures::="$architecture" -o Dir::State="$state/$architecture/state" \
    -o Dir::State::status="$state/$architecture/status" -o Dir::Cache="$state/$architecture/cache" -o APT::Sandbox::User="$(id -un)" \
    -o Acquire::Languages=none -o Acquire::Retries=3 -o Debug::NoLocking=1 -qq "$@"
}

# An index that cannot be had is no failure as long as the package asked for is in another one.
update() {
  local architecture=$1 package=$2
  mkdir -p "$state/$architecture"/{state/lists/partial,cache/archives/partial}
  : >> "$state/$architecture/status"
  if apt "$architecture" apt-cache show "$package" >/dev/null 2>&1; then return 0; fi
  apt "$architecture" apt-get update >"$state/update.log" 2>&1 || true
  apt "$architecture" apt-cache show "$package" >/dev/null 2>&1
}

download() {
  (cd "$state/$1" && rm -f -- "$2"_*.deb && apt "$1" apt-get download "$2" >"$state/download.log" 2>&1)
}

# package ARCHITECTURE NAME: downloads a package and prints where it is.
package() {
  local architecture=$1 name=$2 deb
  deb=$(find "$state/$architecture" -maxdepth 1 -name "${name}_*.deb" -print -quit 2>/dev/null || true)
  if [ -n "$deb" ] && dpkg-deb --info "$deb" >/dev/null 2>&1; then echo "$deb"; return; fi
  retry update "$architecture" "$name" || fail "no package index has $name ($architecture): $(tail -n 1 "$state/update.log")"
  if ! retry download "$architecture" "$name"; then
    # The archive has moved on since the index was fetched.
    rm -rf "$state/$architecture/state"
    retry update "$architecture" "$name" && retry download "$architecture" "$name" \
      || fail "cannot download $name ($architecture): $(tail -n 1 "$state/download.log")"
  fi
  find "$state/$architecture" -maxdepth 1 -name "${name}_*.deb" -print -quit
}

# extract ARCHITECTURE PACKAGE PATTERN TARGET: one file of a package (a shell pattern that matches one path in it).
extract() {
  local architecture=$1 name=$2 pattern=$3 target=$guests/$4 deb
  if [ -s "$target" ]; then echo "$4: here already"; return; fi
  deb=$(package "$architecture" "$name")
  mkdir -p "$(dirname "$target")"
  dpkg-deb --fsys-tarfile "$deb" | tar -x -O --wildcards "$pattern" >"$target.part"
  [ -s "$target.part" ] || fail "$name has no $pattern."
  mv "$target.part" "$target"
  echo "$4: from $(basename "$deb")"
}

# kernel_package META: prints the package of the kernel that a meta package depends on.
kernel_package() {
  local meta=$1 name
  retry update amd64 "$meta" || fail "no package index has $meta: $(tail -n 1 "$state/update.log")"
  name=$(apt amd64 apt-cache show --no-all-versions "$meta" | sed -n 's/^Depends: \(linux-image-[^ ,]*\).*/\1/p' | head -n 1)
  [ -n "$name" ] || fail "$meta names no kernel."
  echo "$name"
}

# kernel META TARGET: the kernel image a meta package depends on.
kernel() {
  if [ -s "$guests/$2" ]; then echo "$2: here already"; return; fi
  extract amd64 "$(kernel_package "$1")" './boot/vmlinuz-*' "$2"
}

# modules META KERNEL TARGET NAME...: modules of that kernel, in one folder, and a script that loads them in the order given.
modules() {
  local meta=$1 kernel=$2 target=$3 deb name load
  shift 3
  load=$(for name in "$@"; do echo "busybox insmod /${target##*/}/$name.ko"; done)
  if [ "$load" = "$(cat "$guests/$target/load" 2>/dev/null)" ]; then echo "$target: here already"; return; fi
  # Kernel and modules are of one version.
  rm -f -- "$guests/$kernel"
  deb=$(package amd64 "$(kernel_package "$meta")")
  rm -rf -- "${guests:?}/$target" && mkdir -p "$guests/$target"
  local patterns=()
  for name in "$@"; do patterns+=("*/$name.ko"); done
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$guests/$target" --wildcards --transform 's,.*/,,' "${patterns[@]}" || fail "$meta lacks a module of: $*"
  echo "$load" >"$guests/$target/load"
  echo "$target: from $(basename "$deb")"
}

# rootfs ARCHITECTURE: a folder for --rootfs: busybox, its applets and an init that gives a shell on the console.
rootfs() {
  local root=$guests/rootfs-$1 applet
  extract "$1" busybox-static './bin/busybox' "rootfs-$1/bin/busybox"
  chmod 755 "$root/bin/busybox"
  mkdir -p "$root"/{dev,proc,sys,tmp,root,etc,bin}
  # The applets are links made here, so that the i386 busybox need not run on the host.
  for applet in sh ash cat cp cut date dd df dmesg echo env expr false find free grep gunzip gzip halt head hexdump hostname \
    id kill ln ls md5sum mkdir mknod mount mv nproc od poweroff printf ps pwd reboot rm rmdir sed seq setsid cttyhack sha256sum \
    sleep sort stty sync tail tar taskset tee test time top touch tr true umount uname uniq uptime usleep wc which xargs yes zcat; do
    ln -sf busybox "$root/bin/$applet"
  done
  cat >"$root/init" <<'INIT'
#!/bin/sh
export PATH=/bin HOME=/root TERM=linux
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
exec </dev/console >/dev/console 2>&1
echo RINGFENCE-USERLAND
[ -x /autorun ] && /autorun
while :; do setsid cttyhack sh; done
INIT
  chmod 755 "$root/init"
  echo "rootfs-$1: ready"
}

# What a Debian kernel needs for disks and for a console by virtio; what others need comes first.
modules linux-image-amd64 vmlinuz-amd64 modules-amd64/modules crct10dif_common crct10dif_generic crc-t10dif crc64 crc64-rocksoft t10-pi crc32c_generic crc16 \
  scsi_common scsi_mod cdrom sd_mod sr_mod libata ata_piix libahci ahci \
  virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk virtio_console mbcache jbd2 ext4 isofs
modules linux-image-cloud-amd64 vmlinuz-cloud-amd64 modules-cloud-amd64/modules \
  virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk
# What it needs for a display adapter with the Bochs extensions.
modules linux-image-amd64 vmlinuz-amd64 display-amd64/display drm drm_kms_helper ttm drm_ttm_helper drm_vram_helper bochs
kernel linux-image-amd64 vmlinuz-amd64
kernel linux-image-cloud-amd64 vmlinuz-cloud-amd64
extract amd64 debian-installer-12-netboot-i386 '*/text/debian-installer/i386/linux' vmlinuz-i386
extract amd64 debian-installer-12-netboot-i386 '*/text/debian-installer/i386/initrd.gz' initrd-i386.gz
extract amd64 memtest86+ '*/memtest86+x64.bin' memtest86+x64.bin
extract amd64 memtest86+ '*/memtest86+ia32.bin' memtest86+ia32.bin
extract amd64 memtest86+ '*/memtest86+x64.iso' media/memtest86+x64.iso
extract amd64 seabios './usr/share/seabios/bios-256k.bin' media/bios-256k.bin
extract amd64 seabios './usr/share/seabios/vgabios-stdvga.bin' media/vgabios-stdvga.bin
extract amd64 grub-rescue-pc '*/grub-rescue-cdrom.iso' media/grub-rescue-cdrom.iso
extract amd64 grub-rescue-pc '*/grub-rescue-floppy.img' media/grub-rescue-floppy.img
extract amd64 ipxe '*/ipxe.iso' media/ipxe.iso
rootfs amd64
rootfs i386
rm -f -- "$state"/*/*.deb
if command -v grub-mkrescue >/dev/null; then eng/make-media.sh; else echo "media/debian-grub.iso: not made, grub-mkrescue is missing (eng/make-media.sh)"; fi
