/** The slots in which undici keeps the process-wide dispatcher: `.1` is read by the fetch of Node 22 and 24, `.2` by undici 8 and Node 26. */
export const LEGACY_SLOT = Symbol.for('undici.globalDispatcher.1');
export const CURRENT_SLOT = Symbol.for('undici.globalDispatcher.2');

const slots = globalThis as unknown as Record<symbol, unknown>;

/** Node loads its fetch on first touch of one of its globals; that creates the built-in dispatcher, and its slot. */
export function touchBuiltIn(): void {
  void globalThis.Headers;
}

export function readSlot(slot: symbol): unknown {
  return slots[slot];
}

/** The slots are not configurable but writable, once they exist. */
export function writeSlot(slot: symbol, dispatcher: unknown): void {
  slots[slot] = dispatcher;
}
