#!/usr/bin/env bash
# Power-on to a prompt, in Ringfence with its own firmware and in QEMU's TCG with SeaBIOS, in turns within one call:
#
#   debian     the installed Debian on a virtio disk, through GRUB and systemd to the login prompt
#   grub       the GRUB of grub-rescue-pc's CD to its prompt
#
#   bench/boot.sh                                    # both rows, five times each; -r N for another number
#   bench/boot.sh -m "ringfence interpreter qemu" debian
#
# A time is from the start of the process to the prompt on the first serial port, the same pipe for everybody; cpu is what the process used
# until then. The best of the repetitions: other work on the host makes times longer, never shorter. The CD is the package's with another
# grub.cfg, which puts the prompt on the serial port as well as on the screen and has no menu. Machines: 512 MiB, one processor, a VGA, no
# network card; writes are thrown away.
# Needs eng/fetch-guests.sh's and eng/make-debian-image.sh's guests, qemu-system-x86, xorriso.
set -euo pipefail
cd "$(dirname "$0")/.."
monitors="ringfence qemu"
repetitions=5
while getopts "m:r:h" option; do
  case $option in
    m) monitors=$OPTARG ;;
    r) repetitions=$OPTARG ;;
    *) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 0 ;;
  esac
done
shift $((OPTIND - 1))
rows=("$@")
[ $# != 0 ] || rows=(debian grub)
work=artifacts/bench/boot
rm -rf "$work" && mkdir -p "$work"
disk=guests/debian/disk.img
[ -f "$disk" ] || { echo "boot.sh: run eng/make-debian-image.sh first" >&2; exit 1; }
printf 'serial --unit=0 --speed=115200\nterminal_input console serial\nterminal_output console serial\n' >"$work/grub.cfg"
xorriso -report_about SORRY -indev guests/media/grub-rescue-cdrom.iso -outdev "$work/grub.iso" -boot_image any replay \
  -map "$work/grub.cfg" /boot/grub/grub.cfg >/dev/null 2>&1
# As it is installed: compiled ahead of time.
command=artifacts/publish/publish/Ringfence.Cli/release_linux-x64/Ringfence.Cli
dotnet publish src/Ringfence.Cli -c Release -r linux-x64 --no-self-contained --artifacts-path "$PWD/artifacts/publish" -v q -nologo >/dev/null

# until PROMPT COMMAND...: prints the seconds until the command has printed the prompt and the processor time it used; ends it then.
until_prompt() {
  perl -MTime::HiRes=time -MPOSIX=:sys_wait_h -e '
    my ($prompt, @command) = @ARGV;
    my $start = time;
    pipe my $from, my $to or die;
    my $process = fork // die;
    if (!$process) { open STDIN, "<", "/dev/null"; open STDOUT, ">&", $to; open STDERR, ">", "/dev/null"; exec @command or exit 127 }
    close $to;
    $SIG{ALRM} = sub { kill KILL => $process };
    alarm 900;
    my $output = "";
    while (sysread $from, my $piece, 4096) { $output = substr($output, -100) . $piece; last if index($output, $prompt) >= 0 }
    my $seconds = time - $start;
    open my $stat, "<", "/proc/$process/stat" or die "the machine has ended\n";
    my @times = split / /, <$stat> =~ s/.*\) //r;
    kill KILL => $process;
    waitpid $process, 0;
    die "no prompt\n" if index($output, $prompt) < 0;
    printf "%.3f %.3f\n", $seconds, ($times[11] + $times[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK);
  ' "$@"
}

ringfence() { local engine=$1; shift; until_prompt "$prompt" "$command" run --engine "$engine" --memory 512M "$@"; }
qemu() { until_prompt "$prompt" qemu-system-x86_64 -accel tcg -cpu max -m 512 -nodefaults -vga std -display none -serial stdio -no-reboot "$@"; }

run() {
  local row=$1 monitor=$2 engine=auto prompt
  [ "$monitor" != interpreter ] || engine=interpreter
  case $row in
    debian) prompt="login: " ;;
    grub) prompt="grub> " ;;
    *) echo "boot.sh: no such row: $row" >&2; exit 1 ;;
  esac
  case $row/$monitor in
    debian/qemu) qemu -drive "file=$disk,format=raw,if=virtio,snapshot=on" ;;
    debian/*) ringfence "$engine" --disk "$disk,format=raw" --snapshot ;;
    grub/qemu) qemu -cdrom "$work/grub.iso" -boot d ;;
    grub/*) ringfence "$engine" --cdrom "$work/grub.iso" ;;
  esac
}

for row in "${rows[@]}"; do
  for repetition in $(seq "$repetitions"); do
    for monitor in $monitors; do
      echo "$row: $monitor ($repetition of $repetitions)" >&2
      echo "$row $monitor $(run "$row" "$monitor")" >>"$work/times"
    done
  done
done

perl - "$work/times" $monitors <<'PERL'
use strict;
my ($file, @monitors) = @ARGV;
my (%time, @rows);
open my $times, '<', $file or die;
while (<$times>) {
  my ($row, $monitor, $seconds, $cpu) = split;
  push @rows, $row unless grep { $_ eq $row } @rows;
  push @{$time{$row}{$monitor}}, $seconds;
  push @{$time{"$row, cpu"}{$monitor}}, $cpu;
}
sub best { (sort { $a <=> $b } @{$_[0]})[0] }
my ($base, @others) = @monitors;
printf "| row | %s | %s |\n", join(' | ', map { "$_ s" } @monitors), join(' | ', map { "$_ / $base" } @others);
print '|---|', '---:|' x (@monitors + @others), "\n";
for my $row (map { ($_, "$_, cpu") } @rows) {
  my %m = map { $_ => best($time{$row}{$_}) } @monitors;
  printf "| %s | %s | %s |\n", $row, join(' | ', map { sprintf '%.2f', $m{$_} } @monitors), join(' | ', map { sprintf '%.2f', $m{$_} / $m{$base} } @others);
}
PERL
