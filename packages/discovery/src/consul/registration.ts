import { hostname } from 'node:os';
import { backoffMs, MeshError, systemClock, type Timer } from '@inmesh/core';
import type { Workload } from '@inmesh/policy';
import { type ConsulClient, ConsulError } from './client.ts';
import { LABEL_KEY } from './instances.ts';
import type { Troubles } from './trouble.ts';

/** How this process is registered. */
export interface ConsulRegistration {
  readonly service: string;
  readonly port: number;
  /** Default: the address of the agent, which then has to run on this machine. */
  readonly address?: string;
  /** Of this instance. Default: service, host name and port, so that a restart takes its own place. */
  readonly id?: string;
  readonly tags?: readonly string[];
  /** Beside what the workload says of itself: its labels, namespace, service account, place. */
  readonly meta?: Readonly<Record<string, string>>;
  /** Shares of the calls while checks pass and while one warns. Default 1 and 1. */
  readonly weights?: { readonly passing: number; readonly warning: number };
  /** What clients speak to it. Default http; told by a tag `protocol=…`. */
  readonly protocol?: 'http' | 'http2' | 'grpc' | 'tcp';
  /** How Consul knows that it lives: the process says so every 5 s (`ttl`, the default), or the agent asks every 5 s: GET on a path, or a TCP connect; it is sent no calls before the first good answer. */
  readonly check?: 'ttl' | { readonly http: string } | { readonly tcp: true };
}

/** A process that stops saying it lives is critical after this. */
const TTL_MS = 15_000;
const BEAT_MS = 5000;
const INTERVAL = '5s';
/** Whoever has been critical for so long was never taken back: a process that was killed. */
const FORGET_AFTER = '10m';
/** Full-jitter exponential backoff. */
const BASE_MS = 250;
const LONGEST_MS = 15_000;
/** After it was taken back, for those who follow to hear of it (they may be waiting for a token of their bucket): until then they still send calls. */
const SETTLE_MS = 500;
/** How long leaving may take. */
const LEAVE_MS = 2000;
const TROUBLE = 'registration';

/** Keeps this process registered: again whenever the agent lost it, and taken back when it leaves. */
export class Registrar {
  readonly #client: ConsulClient;
  readonly #troubles: Troubles;
  readonly #wanted: ConsulRegistration;
  readonly #id: string;
  #meta: Readonly<Record<string, string>> = {};
  #unfit = '';
  #left = false;
  #gone = false;
  /** The latest attempt. Undefined: there is nothing to take back. */
  #registering: Promise<void> | undefined;
  #failures = 0;
  #timer: Timer | undefined;
  #wake: (() => void) | undefined;

  constructor(client: ConsulClient, troubles: Troubles, wanted: ConsulRegistration) {
    const { service, port } = wanted;
    if (service === '') throw new MeshError('MISUSE', 'consul({ register }): "service" is empty');
    if (!(Number.isInteger(port) && port > 0 && port < 65_536))
      throw new MeshError('MISUSE', `consul({ register }): port is ${port}, but must be 1 to 65535`);
    this.#client = client;
    this.#troubles = troubles;
    this.#wanted = wanted;
    this.#id = wanted.id ?? `${service}-${hostname()}-${port}`;
  }

  join(me: Workload): void {
    const { meta, unfit } = metaOf(me, this.#wanted.meta ?? {});
    this.#meta = meta;
    this.#unfit = unfit;
    void this.#keep();
  }

  async leave(): Promise<void> {
    if (this.#left) return;
    this.#left = true;
    this.#timer?.cancel();
    this.#wake?.();
    this.#troubles.clear(TROUBLE);
    if (this.#registering === undefined) return;
    const late = Promise.withResolvers<'late'>();
    const timer = systemClock.after(LEAVE_MS, () => late.resolve('late'), true);
    await Promise.race([this.#takeBack(), late.promise]);
    timer.cancel();
    this.#gone = true;
  }

  async #takeBack(): Promise<void> {
    // One on its way would arrive after it was taken back.
    await this.#registering?.catch(() => {});
    for (let failures = 0; !this.#gone; failures += 1) {
      try {
        await this.#client.deregister(this.#id);
        await this.#sleep(SETTLE_MS);
        return;
      } catch (error) {
        if (error instanceof ConsulError && /\b404\b|unknown service/i.test(error.message)) return;
        await this.#sleep(50 * 2 ** failures * Math.random());
      }
    }
  }

  async #keep(): Promise<void> {
    let registered = false;
    let before = false;
    let hash: string | undefined;
    while (!this.#left) {
      try {
        if (!registered) {
          hash = undefined;
          this.#registering = this.#client.register(bodyOf(this.#id, this.#wanted, this.#meta, before));
          await this.#registering;
          registered = true;
          before = true;
        } else if (this.#beats) await this.#client.pass(`service:${this.#id}`);
        // Waits for news of our own: an agent that lost it says so at once, by 404 or by going away.
        hash = (await this.#client.get(`/agent/service/${encodeURIComponent(this.#id)}`, { hash, waitMs: BEAT_MS })).hash;
        this.#failures = 0;
        if (this.#unfit === '') this.#troubles.clear(TROUBLE);
        else this.#troubles.set(TROUBLE, this.#unfit);
        // Without a hash there is nothing to wait by.
        if (hash === undefined && !this.#left) await this.#sleep(BEAT_MS);
      } catch (error) {
        if (this.#left) return;
        const lost = registered && this.#failures === 0 && error instanceof ConsulError && error.status === 404;
        registered = false;
        this.#failures += 1;
        if (lost) continue;
        this.#troubles.set(TROUBLE, `registration of "${this.#wanted.service}": ${(error as Error).message}`);
        await this.#sleep(backoffMs({ baseMs: BASE_MS, maxMs: LONGEST_MS }, this.#failures, Math.random));
      }
    }
  }

  get #beats(): boolean {
    return (this.#wanted.check ?? 'ttl') === 'ttl';
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#timer = systemClock.after(ms, resolve);
    });
  }
}

function bodyOf(id: string, wanted: ConsulRegistration, meta: Readonly<Record<string, string>>, again: boolean): object {
  const { service, port, address, tags = [], weights = { passing: 1, warning: 1 }, protocol = 'http', check = 'ttl' } = wanted;
  const host = address ?? '127.0.0.1';
  const at = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const how =
    check === 'ttl'
      ? { TTL: `${TTL_MS / 1000}s` }
      : 'http' in check
        ? { HTTP: `http://${at}${check.http.startsWith('/') ? '' : '/'}${check.http}`, Interval: INTERVAL, Timeout: '2s' }
        : { TCP: at, Interval: INTERVAL, Timeout: '2s' };
  return {
    ID: id,
    Name: service,
    Port: port,
    ...(address === undefined ? {} : { Address: address }),
    Tags: [...tags, ...(protocol === 'http' ? [] : [`protocol=${protocol}`])],
    Meta: meta,
    Weights: { Passing: weights.passing, Warning: weights.warning },
    // Where Consul asks, its first answer decides; but an agent that lost us must not turn away our calls until it has asked again.
    Check: {
      ...how,
      CheckID: `service:${id}`,
      DeregisterCriticalServiceAfter: FORGET_AFTER,
      ...(check === 'ttl' || again ? { Status: 'passing' } : {}),
    },
  };
}

/** Consul's bounds of Meta. */
const META_KEY = /^[A-Za-z0-9_-]{1,128}$/;
const LONGEST_VALUE = 512;
const MOST = 64;

/** What the workload says of itself. Labels that Consul's Meta takes stand under their own names, others in `label-1`, `label-2` …; what does not fit is told. */
function metaOf(
  me: Workload,
  given: Readonly<Record<string, string>>,
): { readonly meta: Readonly<Record<string, string>>; readonly unfit: string } {
  const { region, zone, subzone } = me.locality;
  const own = {
    namespace: me.namespace,
    service_account: me.serviceAccount,
    workload: me.name,
    network: me.network,
    region,
    zone,
    subzone,
  };
  const meta: Record<string, string> = { ...Object.fromEntries(Object.entries(own).filter(([, value]) => value !== '')), ...given };
  const unfit: string[] = [];
  let count = 0;
  for (const [name, value] of Object.entries(me.labels)) {
    const plain = META_KEY.test(name) && !(name in own) && !LABEL_KEY.test(name);
    if (plain && name in given) continue;
    const [key, text] = plain ? [name, value] : [`label-${(count += 1)}`, `${name}=${value}`];
    if (text.length > LONGEST_VALUE || Object.keys(meta).length >= MOST) unfit.push(name);
    else meta[key] = text;
  }
  return { meta, unfit: unfit.length === 0 ? '' : `labels that do not fit into Consul's Meta were left out: ${unfit.join(', ')}` };
}
