import type { MeshDispatcher } from './dispatcher.ts';
import { LegacyFace } from './install.ts';
import type { Dispatcher } from 'undici';

export type Fetch = typeof globalThis.fetch;

/**
 * The built-in fetch with the mesh under it: same Request, Response and Headers classes as everywhere else in the process.
 * The global fetch itself is not touched.
 */
export function createFetch(dispatcher: MeshDispatcher): Fetch {
  const face: Dispatcher = speaksFirstProtocol() ? new LegacyFace(dispatcher) : dispatcher;
  // Looked up at each call, so that instrumentation that wraps the global fetch later is honoured.
  return (input, init) => globalThis.fetch(input, { ...init, dispatcher: face } as unknown as RequestInit);
}

/** The undici inside Node 22 and 24 hands old-style handlers to a per-call dispatcher; undici 8 (Node 26) new ones. */
function speaksFirstProtocol(): boolean {
  return Number.parseInt(process.versions['undici'] ?? '0', 10) < 8;
}
