/** An address as its bytes: 4 of IPv4 (also where IPv6 carries one, `::ffff:1.2.3.4`), 16 of IPv6; undefined if it is none. */
export function addressBytes(text: string): readonly number[] | undefined {
  // The rules over one call ask for the same address one after another.
  if (text !== latest.text) latest = { text, bytes: parseAddress(text) };
  return latest.bytes;
}

let latest: { readonly text: string; readonly bytes: readonly number[] | undefined } = { text: '', bytes: undefined };

function parseAddress(text: string): readonly number[] | undefined {
  if (!text.includes(':')) return ipv4(text);
  const zone = text.indexOf('%');
  const bytes = ipv6(zone < 0 ? text : text.slice(0, zone));
  if (bytes === undefined) return undefined;
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  return mapped ? bytes.slice(12) : bytes;
}

/** `10.0.0.0/8`, `1.2.3.4`, `fd00::/8`: does an address lie in it? Host bits of the range mean nothing. undefined: it is no range. */
export function compileCidr(range: string): ((address: readonly number[]) => boolean) | undefined {
  const slash = range.indexOf('/');
  const base = addressBytes(slash < 0 ? range : range.slice(0, slash));
  if (base === undefined) return undefined;
  const size = base.length * 8;
  // The prefix of a mapped address counts from the front of the whole.
  const mapped = slash >= 0 && base.length === 4 && range.includes(':') ? 96 : 0;
  const prefix = slash < 0 ? String(size + mapped) : range.slice(slash + 1);
  const bits = /^\d{1,3}$/.test(prefix) ? Number(prefix) - mapped : -1;
  if (bits < 0 || bits > size) return undefined;
  const whole = bits >> 3;
  const mask = (0xff << (8 - (bits & 7))) & 0xff;
  return (address) => {
    if (address.length !== base.length) return false;
    for (let at = 0; at < whole; at += 1) if (address[at] !== base[at]) return false;
    return (bits & 7) === 0 || ((address[whole]! ^ base[whole]!) & mask) === 0;
  };
}

function ipv4(text: string): readonly number[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) return undefined;
  return parts.map(Number);
}

function ipv6(text: string): readonly number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const groups = halves.map((half) => (half === '' ? [] : half.split(':')).map(groupBytes));
  if (groups.some((half) => half.some((bytes) => bytes === undefined))) return undefined;
  const [front = [], back = []] = groups.map((half) => half.flatMap((bytes) => bytes!));
  const missing = 16 - front.length - back.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return undefined;
  return [...front, ...Array.from({ length: missing }, () => 0), ...back];
}

function groupBytes(group: string): readonly number[] | undefined {
  if (group.includes('.')) return ipv4(group);
  if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
  const value = Number.parseInt(group, 16);
  return [value >> 8, value & 255];
}
