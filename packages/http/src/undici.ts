import { createRequire } from 'node:module';
// Types only: nothing is loaded by this.
import type Undici from 'undici';

type Parts = Pick<typeof Undici, 'Agent' | 'Dispatcher' | 'Dispatcher1Wrapper' | 'Pool' | 'buildConnector' | 'errors'>;

const load = createRequire(import.meta.url);

/**
 * The only door to undici, and to the part of it that we use: connections and pools. Its main module loads four times as much (a
 * fetch, WebSockets, caches and mocks of its own), and makes its Agent the dispatcher of the built-in fetch; a library must not change
 * how a process fetches by being imported. These paths are undici's own affair, so its version is pinned.
 */
export const undici: Parts = {
  Agent: load('undici/lib/dispatcher/agent.js') as Parts['Agent'],
  Dispatcher: load('undici/lib/dispatcher/dispatcher.js') as Parts['Dispatcher'],
  Dispatcher1Wrapper: load('undici/lib/dispatcher/dispatcher1-wrapper.js') as Parts['Dispatcher1Wrapper'],
  Pool: load('undici/lib/dispatcher/pool.js') as Parts['Pool'],
  buildConnector: load('undici/lib/core/connect.js') as Parts['buildConnector'],
  errors: load('undici/lib/core/errors.js') as Parts['errors'],
};
