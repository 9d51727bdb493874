import xxhash from 'xxhash-wasm';

/** 64-bit xxHash, as Envoy's ring hash and Maglev use it. */
export interface Hash {
  /** Of the UTF-8 bytes, as an unsigned 64-bit integer. Seed 0 unless given. */
  hash64(text: string, seed?: bigint): bigint;
}

/** Loads the WebAssembly once per process; some milliseconds. */
export async function loadHash(): Promise<Hash> {
  const xx = await xxhash();
  return { hash64: (text, seed) => xx.h64(text, seed) };
}
