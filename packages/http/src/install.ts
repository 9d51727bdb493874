import { CURRENT_SLOT, LEGACY_SLOT, readSlot, touchBuiltIn, writeSlot } from './built-in.ts';
import type { MeshDispatcher } from './dispatcher.ts';
import { isLegacy, LegacyAdapter } from './legacy-handler.ts';
import { watched } from './passthrough.ts';
import type { Dispatcher } from 'undici';
import { undici } from './undici.ts';

/** What stood in a slot before us. Once we are uninstalled everything goes there: whoever came after us may still call us. */
interface Before {
  readonly dispatcher: AnyDispatcher | undefined;
  uninstalled: boolean;
}

interface AnyDispatcher {
  dispatch(options: Dispatcher.DispatchOptions, handler: object): boolean;
}

/**
 * The mesh for fetches that speak undici's first handler protocol (Node 22 and 24). Hosts outside the mesh go to the
 * dispatcher that was there before, with the handler it knows.
 */
export class LegacyFace extends undici.Dispatcher1Wrapper {
  readonly #mesh: MeshDispatcher;
  readonly #before: Before;

  constructor(mesh: MeshDispatcher, before: Before = NOTHING_BEFORE) {
    super(mesh);
    this.#mesh = mesh;
    this.#before = before;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const { dispatcher, uninstalled } = this.#before;
    if (uninstalled && dispatcher !== undefined) return dispatcher.dispatch(options, handler);
    return this.#mesh.dispatchOr(options, isLegacy(handler) ? new LegacyAdapter(handler) : handler, (passage) =>
      (dispatcher ?? new undici.Dispatcher1Wrapper(this.#mesh.fallback)).dispatch(options, watched(handler, passage)),
    );
  }
}

/** The mesh for undici 8 and the fetch of Node 26; hosts outside the mesh go to the dispatcher that was there before. */
class CurrentFace extends undici.Dispatcher {
  readonly #mesh: MeshDispatcher;
  readonly #before: Before;

  constructor(mesh: MeshDispatcher, before: Before) {
    super();
    this.#mesh = mesh;
    this.#before = before;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const { dispatcher, uninstalled } = this.#before;
    if (uninstalled && dispatcher !== undefined) return dispatcher.dispatch(options, handler);
    return this.#mesh.dispatchOr(options, handler, (passage) =>
      (dispatcher ?? this.#mesh.fallback).dispatch(options, watched(handler, passage)),
    );
  }
}

/** The mesh as undici's global dispatcher, the way back, and whether somebody else has taken the place since. */
export interface Installed {
  readonly displaced: boolean;
  uninstall(): void;
}

/** Makes the built-in fetch, and every undici that asks for the global dispatcher, follow the mesh. */
export function install(dispatcher: MeshDispatcher): Installed {
  touchBuiltIn();
  const before = { legacy: beforeUs(LEGACY_SLOT), current: beforeUs(CURRENT_SLOT) };
  const current = new CurrentFace(dispatcher, before.current);
  const legacy = new LegacyFace(dispatcher, before.legacy);
  writeSlot(LEGACY_SLOT, legacy);
  writeSlot(CURRENT_SLOT, current);
  return {
    get displaced() {
      return readSlot(LEGACY_SLOT) !== legacy || readSlot(CURRENT_SLOT) !== current;
    },
    uninstall() {
      before.legacy.uninstalled = before.current.uninstalled = true;
      // Whoever came after us keeps the place.
      if (readSlot(LEGACY_SLOT) === legacy) writeSlot(LEGACY_SLOT, before.legacy.dispatcher);
      if (readSlot(CURRENT_SLOT) === current) writeSlot(CURRENT_SLOT, before.current.dispatcher);
    },
  };
}

const NOTHING_BEFORE: Before = { dispatcher: undefined, uninstalled: false };

function beforeUs(slot: symbol): Before {
  return { dispatcher: readSlot(slot) as AnyDispatcher | undefined, uninstalled: false };
}
