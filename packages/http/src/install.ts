import { CURRENT_SLOT, LEGACY_SLOT, readSlot, writeSlot } from './built-in.ts';
import type { MeshDispatcher } from './dispatcher.ts';
import { watched } from './passthrough.ts';
import { Dispatcher, Dispatcher1Wrapper } from './undici.ts';

interface AnyDispatcher {
  dispatch(options: Dispatcher.DispatchOptions, handler: object): boolean;
}

/**
 * The mesh for fetches that speak undici's first handler protocol (Node 22 and 24). Hosts outside the mesh go to the
 * dispatcher that was there before, with the handler it knows.
 */
export class LegacyFace extends Dispatcher1Wrapper {
  readonly #mesh: MeshDispatcher;
  readonly #before: AnyDispatcher | undefined;

  constructor(mesh: MeshDispatcher, before?: AnyDispatcher) {
    super(mesh);
    this.#mesh = mesh;
    this.#before = before;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    const { wrapHandler } = Dispatcher1Wrapper as unknown as { wrapHandler: (this: void, handler: object) => Dispatcher.DispatchHandler };
    return this.#mesh.dispatchOr(options, wrapHandler(handler), (passage) =>
      (this.#before ?? new Dispatcher1Wrapper(this.#mesh.fallback)).dispatch(options, watched(handler, passage)),
    );
  }
}

/** The mesh for undici 8 and the fetch of Node 26; hosts outside the mesh go to the dispatcher that was there before. */
class CurrentFace extends Dispatcher {
  readonly #mesh: MeshDispatcher;
  readonly #before: AnyDispatcher | undefined;

  constructor(mesh: MeshDispatcher, before: AnyDispatcher | undefined) {
    super();
    this.#mesh = mesh;
    this.#before = before;
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    return this.#mesh.dispatchOr(options, handler, (passage) =>
      (this.#before ?? this.#mesh.fallback).dispatch(options, watched(handler, passage)),
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
  const before = { legacy: readSlot(LEGACY_SLOT), current: readSlot(CURRENT_SLOT) };
  const current = new CurrentFace(dispatcher, before.current as AnyDispatcher | undefined);
  const legacy = new LegacyFace(dispatcher, before.legacy as AnyDispatcher | undefined);
  writeSlot(LEGACY_SLOT, legacy);
  writeSlot(CURRENT_SLOT, current);
  return {
    get displaced() {
      return readSlot(LEGACY_SLOT) !== legacy || readSlot(CURRENT_SLOT) !== current;
    },
    uninstall() {
      // Whoever came after us keeps the place.
      if (readSlot(LEGACY_SLOT) === legacy) writeSlot(LEGACY_SLOT, before.legacy);
      if (readSlot(CURRENT_SLOT) === current) writeSlot(CURRENT_SLOT, before.current);
    },
  };
}
