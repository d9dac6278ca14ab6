#!/usr/bin/env bash
# Runs the benchmark guest (bench/guestbench/gb.c under Debian's cloud kernel) in several monitors, one after the other in one
# call, and prints a table of seconds and ratios. Times are the host's: each line of the guest's serial console is stamped
# when it arrives, so a monitor whose guest clock runs differently is measured like the others.
#
#   bench/guests.sh                                  # host, ringfence, qemu
#   bench/guests.sh -m "ringfence bochs" prime crc   # these monitors, these rows
#
# -m LIST   monitors: host ringfence counting interpreter qemu bochs        -r N   repetitions, medians are printed (default 1)
# Needs eng/fetch-guests.sh's guests, gcc, cpio; for qemu: qemu-system-x86; for bochs: bochs bochs-term bochsbios vgabios grub-pc-bin
# grub-common xorriso mtools.
set -euo pipefail
cd "$(dirname "$0")/.."
monitors="host ringfence qemu"
repetitions=1
while getopts "m:r:h" option; do
  case $option in
    m) monitors=$OPTARG ;;
    r) repetitions=$OPTARG ;;
    *) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
  esac
done
shift $((OPTIND - 1))
rows=("$@")
kernel=guests/vmlinuz-cloud-amd64
work=artifacts/bench
mkdir -p "$work"
[ -f "$kernel" ] || { echo "guests.sh: run eng/fetch-guests.sh first" >&2; exit 1; }

gcc -O2 -static -o "$work/gb" bench/guestbench/gb.c -lm
rm -rf "$work/rootfs"
cp -r guests/rootfs-amd64 "$work/rootfs"
cp "$work/gb" "$work/rootfs/gb"
printf '#!/bin/sh\necho GB-START\n/gb %s\npoweroff -f\n' "${rows[*]-}" > "$work/rootfs/autorun"
chmod +x "$work/rootfs/autorun"
(cd "$work/rootfs" && find . | LC_ALL=C sort | cpio -o -H newc --quiet | gzip -1) > "$work/initrd.gz"
append="console=ttyS0 quiet nokaslr"

# stamp: copies lines, each with the seconds since the start of this filter in front.
stamp() { perl -MTime::HiRes=time -ne 'BEGIN { $| = 1; $start = time } s/\r//g; printf "%.3f %s", time - $start, $_'; }

run_host() { { echo GB-START; "$work/gb" "${rows[@]}"; } | stamp; }

run_ringfence() {
  dotnet src/Ringfence.Cli/bin/Release/net10.0/Ringfence.Cli.dll run --engine "${1:-auto}" --kernel "$kernel" --initrd "$work/initrd.gz" \
    --append "$append" --memory 512M "${@:2}" --no-exit-times --stats "json:$work/stats.json" < /dev/null 2>/dev/null | stamp
}

run_interpreter() { run_ringfence interpreter; }

run_counting() { run_ringfence auto --count-instructions; }

run_qemu() {
  qemu-system-x86_64 -accel tcg -cpu max -m 512 -nographic -no-reboot -nodefaults -serial stdio -kernel "$kernel" \
    -initrd "$work/initrd.gz" -append "$append" < /dev/null 2>/dev/null | stamp
}

run_bochs() {
  rm -rf "$work/iso" && mkdir -p "$work/iso/boot/grub"
  cp "$kernel" "$work/iso/boot/vmlinuz" && cp "$work/initrd.gz" "$work/iso/boot/initrd.gz"
  printf 'set timeout=0\nmenuentry m {\n linux /boot/vmlinuz %s\n initrd /boot/initrd.gz\n}\n' "$append" > "$work/iso/boot/grub/grub.cfg"
  grub-mkrescue -o "$work/bochs.iso" "$work/iso" >/dev/null 2>&1
  rm -f "$work/bochs.fifo" && mkfifo "$work/bochs.fifo"
  cat > "$work/bochsrc" <<BOCHS
megs: 512
cpu: model=corei7_ivy_bridge_3770k, count=1, ips=120000000, reset_on_triple_fault=0
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1
ata0-master: type=cdrom, path=$work/bochs.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$work/bochs.fifo
display_library: term
clock: sync=none
log: $work/bochs.log
sound: driver=dummy, waveout=/dev/null, wavein=, midiout=
speaker: enabled=0
panic: action=fatal
BOCHS
  echo c > "$work/bochs.commands"
  (stamp < "$work/bochs.fifo") &
  local reader=$!
  # The terminal display wants a terminal: script gives it one. A second writer ends the reader if Bochs never opened the pipe.
  TERM=linux timeout 1200 script -qec "bochs -q -f $work/bochsrc -rc $work/bochs.commands" /dev/null >"$work/bochs.out" 2>&1 </dev/null || true
  timeout 5 sh -c ': > "$0"' "$work/bochs.fifo" || true
  wait "$reader"
}

case " $monitors " in *" ringfence "* | *" interpreter "*) dotnet build -c Release src/Ringfence.Cli -v q -nologo >/dev/null ;; esac
for monitor in $monitors; do
  for repetition in $(seq "$repetitions"); do
    echo "running $monitor ($repetition of $repetitions)" >&2
    "run_$monitor" > "$work/$monitor.$repetition.log" || true
  done
done

perl - "$work" "$repetitions" $monitors <<'PERL'
use strict;
my ($work, $repetitions, @monitors) = @ARGV;
my @compute = qw(prime crc sha qsort matmul libm chase memcpy indirect calls);
my (%time, @order, %seen);
for my $monitor (@monitors) {
  for my $repetition (1 .. $repetitions) {
    open my $log, '<', "$work/$monitor.$repetition.log" or next;
    my $previous;
    while (<$log>) {
      next unless /^([\d.]+) .*?(RINGFENCE-USERLAND|GB-START|GB (\w+))/;
      my ($at, $row) = ($1, $3);
      if ($2 eq 'RINGFENCE-USERLAND') { push @{$time{boot}{$monitor}}, $at; next }
      if (defined $row && defined $previous) {
        push @{$time{$row}{$monitor}}, $at - $previous;
        push @order, $row unless $seen{$row}++;
      }
      $previous = $at;
    }
  }
}
sub median { my @s = sort { $a <=> $b } @{$_[0] || []}; @s ? $s[$#s / 2] : undef }
my $base = $monitors[0] eq 'host' && @monitors > 1 ? $monitors[1] : $monitors[0];
my @others = grep { $_ ne $base } @monitors;
printf "| row | %s | %s |\n", join(' | ', map { "$_ s" } @monitors), join(' | ', map { "$_ / $base" } @others);
print '|---|', '---:|' x (@monitors + @others), "\n";
my (%product, %system);
for my $row ('boot', @order) {
  my %m = map { $_ => median($time{$row}{$_}) } @monitors;
  my @cells = map { defined $m{$_} ? sprintf('%.2f', $m{$_}) : '' } @monitors;
  for my $other (@others) {
    my $ratio = defined $m{$other} && $m{$base} ? $m{$other} / $m{$base} : undef;
    push @cells, defined $ratio ? sprintf('%.2f', $ratio) : '';
    next if !$ratio || $row eq 'boot';
    my $mean = (grep { $_ eq $row } @compute) ? \%product : \%system;
    $mean->{$other}[0] += log $ratio;
    $mean->{$other}[1]++;
  }
  printf "| %s | %s |\n", $row, join(' | ', @cells);
}
for (['compute', \%product], ['system', \%system]) {
  my ($name, $mean) = @$_;
  my @means = map { $mean->{$_} ? sprintf('%.2f', exp($mean->{$_}[0] / $mean->{$_}[1])) : '' } @others;
  printf "| geometric mean of the $name rows | %s | %s |\n", join(' | ', map { '' } @monitors), join(' | ', @means);
}
PERL
