#!/usr/bin/env bash
# Installs Debian 12 into a disk image, guests/debian/disk.img: a partition table, GRUB, and one ext4 partition with systemd, a kernel, and
# an initramfs with the drivers of all our disks. Beside it lie the kernel and the initramfs, for --kernel. The console is the first serial
# port and the screen; log in as root with the password "debian".
#
#   eng/make-debian-image.sh          # as root (debootstrap's chroot); no loop devices, nothing mounted but /proc in that chroot
#
# What is there already is kept until this script changes. The packages come from the mirror that the host's apt knows; DEBIAN_MIRROR names another.
# Needs debootstrap, e2fsprogs, fdisk (sfdisk), grub-common and grub-pc-bin.
set -euo pipefail
cd "$(dirname "$0")/.."
. eng/retry.sh
suite=bookworm
image=$PWD/guests/debian
work=$PWD/guests/.debian
root=$work/root
started=$SECONDS

# The partition begins behind GRUB's core image, at 1 MiB as every partitioning tool has it.
sector=512
first_sector=2048
image_mib=512
uuid=5d1c7f5e-4ab0-4b8f-9d3c-0a51f2b7c9e1

fail() { echo "make-debian-image: $*" >&2; exit 1; }
say() { echo "debian: $* ($((SECONDS - started)) s)"; }

recipe=$(sha256sum <"$0" | cut -c1-64)
if [ -s "$image/disk.img" ] && [ "$(cat "$image/recipe" 2>/dev/null)" = "$recipe" ]; then echo "debian/disk.img: here already"; exit; fi
[ "$(id -u)" = 0 ] || fail "has to be root to install into a folder."
PATH=$PATH:/usr/sbin:/sbin
for tool in debootstrap:debootstrap mke2fs:e2fsprogs debugfs:e2fsprogs sfdisk:fdisk grub-mkimage:grub-common; do
  command -v "${tool%%:*}" >/dev/null || fail "${tool%%:*} is missing (package ${tool#*:})."
done
grub=/usr/lib/grub/i386-pc
[ -f $grub/boot.img ] || fail "GRUB's images are missing (package grub-pc-bin)."

# mirror: where the host's apt gets Debian from. Its indexes may not have been fetched yet.
known_mirror() { apt-get download --print-uris base-files 2>/dev/null | sed -n "s,^'\(.*\)/pool/.*,\1,p" | head -n 1 | grep .; }
mirror() { known_mirror || { apt-get update >/dev/null 2>&1 || true; known_mirror; }; }
mirror=${DEBIAN_MIRROR:-$(retry mirror)} || fail "apt knows no mirror of Debian."
# debootstrap's downloads know nothing of apt's proxy.
proxy=$(apt-config shell proxy Acquire::http::Proxy)
eval "$proxy"
[ -z "${proxy:-}" ] || export http_proxy=${http_proxy:-$proxy}

# The chroot's /proc is mounted while packages are configured.
unmount() { ! mountpoint -q "$root/proc" || umount -l "$root/proc"; }
clean() { unmount && rm -rf --one-file-system -- "$root" "$image.part"; }
trap 'unmount || true' EXIT
clean
mkdir -p "$work/packages" "$image.part"

# The first stage downloads and unpacks the base system; a second attempt finds what has been downloaded.
unpack() {
  rm -rf --one-file-system -- "$root"
  debootstrap --foreign --arch=amd64 --variant=minbase --cache-dir="$work/packages" \
    --include=systemd-sysv,udev,kmod,initramfs-tools,linux-image-amd64 "$suite" "$root" "$mirror" >"$work/log" 2>&1 || { tail -n 3 "$work/log" >&2; return 1; }
}
retry unpack || fail "debootstrap cannot get $suite from the mirror; $work/log says why."
say "unpacked"

# Before packages are installed: what is left out of them (manuals, translations, drivers of hardware that we do not have) and what the initramfs loads.
mkdir -p "$root/etc/dpkg/dpkg.cfg.d" "$root/etc/initramfs-tools/conf.d"
{
  echo force-unsafe-io
  for path in doc man info locale lintian bug; do echo "path-exclude=/usr/share/$path/*"; done
  for path in drivers net sound; do echo "path-exclude=/lib/modules/*/kernel/$path/*"; done
  for path in ata block cdrom char input scsi/s{csi_common,csi_mod,d_mod,r_mod,g}. virtio; do echo "path-include=/lib/modules/*/kernel/drivers/$path*"; done
} >"$root/etc/dpkg/dpkg.cfg.d/ringfence"
echo 'MODULES=list' >"$root/etc/initramfs-tools/conf.d/ringfence"
printf '%s\n' virtio_pci virtio_blk ahci ata_piix sd_mod crc32c_generic ext4 >"$root/etc/initramfs-tools/modules"
printf 'UUID=%s / ext4 errors=remount-ro 0 1\n' $uuid >"$root/etc/fstab"
echo debian >"$root/etc/hostname"

DEBIAN_FRONTEND=noninteractive chroot "$root" /debootstrap/debootstrap --second-stage >"$work/log" 2>&1 || { tail -n 5 "$work/log" >&2; fail "the packages cannot be installed."; }
unmount
say "installed"

# Without D-Bus nobody could talk to logind; nothing here is scheduled; the kernel's debugging, FUSE, huge pages and foreign binaries are not used,
# and consoles 2 to 6 are not seen.
chroot "$root" systemctl mask --quiet systemd-logind.service getty-static.service systemd-pstore.service \
  {apt-daily,apt-daily-upgrade,dpkg-db-backup,e2scrub_all,fstrim,systemd-tmpfiles-clean}.timer e2scrub_reap.service \
  sys-kernel-{config,debug,tracing}.mount sys-fs-fuse-connections.mount dev-{hugepages,mqueue}.mount proc-sys-fs-binfmt_misc.automount \
  modprobe@{configfs,dm_mod,drm,efi_pstore,fuse,loop}.service
chroot "$root" systemctl set-default --quiet multi-user.target
echo root:debian | chroot "$root" chpasswd
rm -rf -- "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*.log "$root"/usr/share/{doc,man,info,locale}/*
kernel=$(basename "$root"/boot/vmlinuz-*)
initramfs=initrd.img-${kernel#vmlinuz-}
cp "$root/boot/$kernel" "$image.part/vmlinuz"
cp "$root/boot/$initramfs" "$image.part/initrd.img"
mkdir -p "$root/boot/grub"
cat >"$root/boot/grub/grub.cfg" <<GRUB
serial --unit=0 --speed=115200
terminal_input console serial
terminal_output console serial
set timeout=0
menuentry "Debian GNU/Linux" {
  linux /boot/$kernel root=UUID=$uuid ro console=tty0 console=ttyS0,115200 quiet
  initrd /boot/$initramfs
}
GRUB

# The partition table, GRUB in front of the partition, the file system from the folder.
disk=$image.part/disk.img
truncate -s ${image_mib}M "$disk"
echo "start=$first_sector, type=83, bootable" | sfdisk -q "$disk"
mke2fs -q -t ext4 -L debian -U $uuid -d "$root" -E offset=$((first_sector * sector)),lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0 \
  -J size=8 "$disk" $((image_mib - 1))M
grub-mkimage -O i386-pc -p '(,msdos1)/boot/grub' -o "$work/core.img" biosdisk part_msdos ext2 normal linux serial terminal configfile search echo ls cat boot halt reboot
[ "$(stat -c %s "$work/core.img")" -le $(((first_sector - 1) * sector)) ] || fail "GRUB does not fit in front of the partition."
# boot.img loads the core image from sector 1, where the core image expects the rest of itself to follow. The partition table stays.
dd if=$grub/boot.img of="$disk" bs=440 count=1 conv=notrunc status=none
dd if="$work/core.img" of="$disk" bs=$sector seek=1 conv=notrunc status=none
e2fsck -f -n "$disk?offset=$((first_sector * sector))" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "the file system is not clean."; }

echo "$recipe" >"$image.part/recipe"
rm -rf -- "$image"
mv "$image.part" "$image"
say "$(du -m "$image/disk.img" | cut -f1) MiB in disk.img, kernel ${kernel#vmlinuz-}"
rm -rf --one-file-system -- "$work"
