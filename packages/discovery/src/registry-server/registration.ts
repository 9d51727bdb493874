import { connect } from 'node:net';
import { hostname } from 'node:os';
import { type Clock, backoffMs, MeshError, type Timer } from '@inmesh/core';
import { type MachineProbe, parseProbe, type ProbeSpec, type Workload } from '@inmesh/policy';
import type { Dialled } from '../health/ask.ts';
import type { Check } from '../health/check.ts';
import { ownCheck } from '../health/own.ts';
import { type Access, ask, readText, reasonOf } from './http.ts';

/** How this process makes itself known. */
export interface SelfRegistration {
  /** Host callers call; one without a dot is a service of the workload's namespace. */
  readonly service: string;
  /** Port name → number it listens on. */
  readonly ports: Readonly<Record<string, number>>;
  /** Port name → number under which callers address the service. Default: the one it listens on. */
  readonly servicePorts?: Readonly<Record<string, number>>;
  /** Where it is reached. Default: the address its requests to the registry come from. */
  readonly address?: string;
  /** Default: workload, host name and first port, so that a restart takes its own place. */
  readonly id?: string;
  /** Beside those of the workload. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Relative share of the calls. Default 1. */
  readonly weight?: number;
  /** It is forgotten when nothing was heard of it for this long; it says so three times within it. Default 30 s. */
  readonly leaseSeconds?: number;
  /**
   * How this process finds out whether it is well, as WorkloadGroup.probe says it (istio.io, WorkloadGroup ReadinessProbe), with its defaults; it
   * is asked here, where it listens, and may be a command: `{ periodSeconds: 5, exec: { command: ['/usr/bin/check', '--quick'] } }`. Registered
   * as unhealthy until it has succeeded `successThreshold` times. Default: none, healthy as long as it is registered.
   */
  readonly probe?: ProbeSpec;
}

type Health = 'healthy' | 'unhealthy';

interface Tools {
  readonly clock: Clock;
  readonly random: () => number;
  readonly tell: (trouble: string) => void;
}

const LEASE_SECONDS = 30;
const REQUEST_MS = 5000;
const BACKOFF = { baseMs: 1000, maxMs: 10_000 };
/** Between looks whether the program listens yet. */
const LOOK_MS = 200;
/** How long leaving may take, and how long those who follow have to hear of it before anything is closed. */
const LEAVE_MS = 2000;
const SETTLE_MS = 300;

/**
 * Keeps this process registered for as long as it lives: from when its ports take connections, again whenever the registry has
 * forgotten it, until it leaves. One that dies is forgotten when its lease ends.
 */
export class Registrant {
  readonly #access: Access;
  readonly #wanted: SelfRegistration;
  readonly #tools: Tools;
  readonly #probe: MachineProbe | undefined;
  #check: Check | undefined;
  /** What the registry was told of our health. */
  #told: Health = 'healthy';
  #busy = false;
  #me: Workload | undefined;
  #timer: Timer | undefined;
  #known = false;
  #left = false;
  #failures = 0;
  #underWay: Promise<void> = Promise.resolve();

  constructor(access: Access, wanted: SelfRegistration, tools: Tools) {
    const ports = Object.values(wanted.ports);
    if (wanted.service === '') throw new MeshError('MISUSE', 'register: service is empty');
    if (ports.length === 0 || ports.some((port) => !Number.isInteger(port) || port < 1 || port > 65_535))
      throw new MeshError('MISUSE', 'register: ports must name at least one port, from 1 to 65535, as in { http: 8080 }');
    const probe = wanted.probe === undefined ? undefined : parseProbe(wanted.probe);
    if (probe?.ok === false) throw new MeshError('MISUSE', `register: probe: ${probe.problems.join('; ')}`);
    this.#probe = probe?.probe;
    this.#access = access;
    this.#wanted = wanted;
    this.#tools = tools;
  }

  join(me: Workload): void {
    this.#me = me;
    this.#next(0);
  }

  /** Resolves when the registry and those who follow know, or after a short while. */
  async leave(): Promise<void> {
    this.close();
    await this.#atMost(LEAVE_MS, this.#underWay);
    if (!this.#known) return;
    this.#known = false;
    const gone = this.#send('DELETE', this.#path(), undefined, LEAVE_MS).then(
      () => true,
      () => false,
    );
    if (await gone) await this.#atMost(SETTLE_MS, new Promise(() => {}));
  }

  close(): void {
    this.#left = true;
    this.#timer?.cancel();
    this.#check?.leave(this.#judged);
  }

  get #health(): Health {
    return this.#check?.healthy === false ? 'unhealthy' : 'healthy';
  }

  /** Why the registry was told that we are ill, a sentence; '' if it was not. */
  get illness(): string {
    if (!this.#known || this.#told === 'healthy') return '';
    return `"${this.#wanted.service}" is registered as unhealthy: ${this.#check?.failure || 'its probe has to succeed first'}`;
  }

  /** News of our health are told at once; a step under way sees for itself. */
  readonly #judged = (): void => {
    if (!this.#known || this.#busy) return;
    this.#timer?.cancel();
    this.#next(0);
  };

  /** Leaving is work in progress: the process lives on for it, and no longer than that. */
  #atMost(ms: number, what: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#tools.clock.after(ms, resolve, true);
      void what.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #next(ms: number): void {
    if (this.#left) return;
    this.#timer = this.#tools.clock.after(ms, () => (this.#underWay = this.#step()));
  }

  async #step(): Promise<void> {
    const { random, tell } = this.#tools;
    const { leaseSeconds = LEASE_SECONDS, ports, address, service } = this.#wanted;
    this.#busy = true;
    try {
      if (!this.#known) {
        const at = await listens(Object.values(ports)[0]!, address);
        if (at === undefined) return this.#next(LOOK_MS);
        this.#probeAt(at);
      }
      const health = this.#health;
      if (!this.#known || health !== this.#told || !(await this.#renew()))
        await this.#send('PUT', this.#path(), JSON.stringify(this.#body(health)));
      this.#told = health;
      this.#known = true;
      this.#failures = 0;
      tell('');
      this.#next(this.#health === health ? (leaseSeconds * 1000 * (0.8 + 0.4 * random())) / 3 : 0);
    } catch (error) {
      tell(`cannot register "${service}": ${(error as Error).message}`);
      this.#failures += 1;
      this.#next(Math.min(backoffMs(BACKOFF, this.#failures, random), (leaseSeconds * 1000) / 3));
    } finally {
      this.#busy = false;
    }
  }

  #probeAt(at: Dialled): void {
    if (this.#probe === undefined || this.#check !== undefined || this.#left) return;
    this.#check = ownCheck(this.#probe, at, this.#tools);
    this.#check.join(this.#judged);
  }

  /** false: the registry has forgotten us. */
  async #renew(): Promise<boolean> {
    try {
      await this.#send('POST', `${this.#path()}/renew`);
      return true;
    } catch (error) {
      if (error instanceof Refused && error.status === 404) return false;
      throw error;
    }
  }

  #path(): string {
    const { id, ports } = this.#wanted;
    const own = id ?? `${this.#me?.name ?? ''}-${hostname()}-${Object.values(ports)[0]}`;
    return `v1/registrations/${encodeURIComponent(own.replaceAll(/[^A-Za-z0-9._~:-]/g, '-').replace(/^[^A-Za-z0-9]+/, ''))}`;
  }

  #body(health: Health): object {
    const { service, ports, servicePorts, address, labels, weight, leaseSeconds = LEASE_SECONDS } = this.#wanted;
    const { name, namespace, labels: own, locality, network, serviceAccount } = this.#me!;
    const place = [locality.region, locality.zone, locality.subzone].filter((part) => part !== '').join('/');
    return {
      service,
      namespace,
      workload: name,
      ports,
      servicePorts,
      address,
      labels: { ...own, ...labels },
      locality: place === '' ? undefined : place,
      network: network === '' ? undefined : network,
      serviceAccount: serviceAccount === '' ? undefined : serviceAccount,
      weight,
      health: health === 'healthy' ? undefined : health,
      leaseSeconds,
    };
  }

  #send(method: string, path: string, body?: string, timeoutMs = REQUEST_MS): Promise<void> {
    return new Promise((resolve, reject) => {
      const request = ask(this.#access, { method, path, body });
      const timeout = this.#tools.clock.after(timeoutMs, () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)), this.#left);
      const over = (error?: Error): void => {
        timeout.cancel();
        if (error === undefined) resolve();
        else reject(error);
      };
      request.on('error', (error) => over(new Error(reasonOf(error))));
      request.on('response', (response) => {
        const { statusCode: status = 0 } = response;
        readText(response, 65_536).then(
          (text) => over(status < 300 ? undefined : new Refused(status, text)),
          (error: Error) => over(error),
        );
      });
    });
  }
}

class Refused extends Error {
  readonly status: number;
  constructor(status: number, text: string) {
    const said = /"error": *"((?:[^"\\]|\\.)*)"/.exec(text)?.[1];
    super(`the registry answered ${status}${said === undefined ? '' : `: ${said}`}`);
    this.status = status;
  }
}

/** Where he takes connections; undefined: nowhere yet, and whoever were sent calls would refuse them. */
function listens(port: number, address: string | undefined): Promise<Dialled | undefined> {
  const attempt = (host: string): Promise<Dialled | undefined> =>
    new Promise((resolve) => {
      const socket = connect({ host, port });
      socket.unref();
      const end = (answer?: Dialled): void => {
        socket.destroy();
        resolve(answer);
      };
      socket.once('connect', () => end({ host, port }));
      socket.once('error', () => end());
    });
  if (address !== undefined)
    return address.startsWith('unix:') ? Promise.resolve({ path: address.replace(/^unix:(\/\/)?/, '') }) : attempt(address);
  return attempt('127.0.0.1').then((there) => there ?? attempt('::1'));
}
