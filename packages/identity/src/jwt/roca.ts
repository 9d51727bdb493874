/** Small primes whose residues give away moduli of Infineon's generator (CVE-2017-15361, fingerprint of the paper's authors). */
const PRIMES: readonly number[] = [
  11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
]; // prettier-ignore

/** Residues of a weak modulus: the powers of 65537. A good modulus has them for all primes once in 10^8. */
const RESIDUES: readonly ReadonlySet<number>[] = PRIMES.map((prime) => {
  const powers = new Set<number>();
  for (let power = 1; !powers.has(power); power = (power * 65537) % prime) powers.add(power);
  return powers;
});

/** Whether an RSA modulus was made by the generator whose keys can be factored. */
export function isRoca(modulus: Uint8Array): boolean {
  const number = BigInt(`0x${Buffer.from(modulus).toString('hex') || '0'}`);
  return PRIMES.every((prime, index) => RESIDUES[index]!.has(Number(number % BigInt(prime))));
}
