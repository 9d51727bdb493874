/**
 * The only door to undici.
 *
 * Importing undici 8 makes its Agent the dispatcher of the built-in fetch (lib/global.js). A library must not change how
 * the process fetches by being imported, so the built-in creates its own dispatcher first (`./built-in.ts`, evaluated
 * before undici because it stands above it) and gets it back below.
 */
import { restoreBuiltIn } from './built-in.ts';
import { Agent, buildConnector, Dispatcher, Dispatcher1Wrapper, errors, Pool } from 'undici';

restoreBuiltIn();

export { Agent, buildConnector, Dispatcher, Dispatcher1Wrapper, errors, Pool };
