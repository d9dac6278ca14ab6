const COUNTS = ["", " k", " M", " G", " T"];
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500];
const BYTES = [" B", " KiB", " MiB", " GiB", " TiB"];

/** A count with three digits that matter: 7, 0.4, 1.23 k, 512 M. */
export function count(value) {
  return scaled(value, 1000, COUNTS);
}

/** An amount of memory. */
export function bytes(value) {
  return scaled(value, 1024, BYTES);
}

/** A duration: 12 s, 3:07, 1:02:33. */
export function duration(seconds) {
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  const two = value => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** A C# name as words: TlbFill as "TLB fill", PortIo as "port I/O", PowerOff as "power off". */
export function words(name) {
  const special = { tlb: "TLB", mmio: "MMIO", io: "I/O" };
  return name.split(/(?<=[a-z])(?=[A-Z])/).map(word => special[word.toLowerCase()] ?? word.toLowerCase()).join(" ");
}

/** Where an axis ends that has to show a value: 1, 2 or 5 times a power of ten, of the unit it is written in. */
export function ceiling(value, base = 1000) {
  if (!(value > 0)) return 1;
  const unit = base ** Math.floor(Math.log(value) / Math.log(base));
  return unit * (STEPS.find(step => step * unit >= value && step < base) ?? base);
}

function scaled(value, base, units) {
  let unit = 0;
  while (value >= base * 0.9995 && unit < units.length - 1) {
    value /= base;
    unit++;
  }

  const digits = value >= 100 || value === 0 || (unit === 0 && Number.isInteger(value)) ? 0 : value >= 10 ? 1 : unit === 0 ? 1 : 2;
  return value.toFixed(digits) + units[unit];
}
