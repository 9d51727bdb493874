import { hash } from 'node:crypto';
import type { LookupFunction } from 'node:net';
import type { Clock, MeshEvent, TokenOutcome, TokenVerifier, TokenVerifiers } from '@inmesh/core';
import type { JwtRule } from '@inmesh/policy';
import { BoundedMap } from '../bounded-map.ts';
import { blockedAddresses } from './addresses.ts';
import { audienceAllowed, bareAudience, claimsFor, timeProblem } from './check.ts';
import { type KeySource, parseKeys, type TokenKey } from './keys.ts';
import { type KeyPlace, loadKeys, placeOf, publicName } from './locate.ts';
import { type KeyHolder, RemoteKeys } from './remote-keys.ts';
import { signerOf } from './signature.ts';
import { LONGEST_TOKEN, Malformed, parseToken, type Token } from './token.ts';

export interface TokenVerifiersOptions {
  /** Ranges no keys are fetched from, beside link-local, metadata, multicast and unspecified addresses: `['10.0.0.0/8']`. Default: none. */
  readonly blockedCidrs?: readonly string[];
  /** PEM of those who vouch for the servers keys are fetched from. Default: the system's. */
  readonly ca?: string;
  /** Verified tokens that are remembered. Default 5000. */
  readonly rememberedTokens?: number;
  /** Resolves the names of those servers. Default: the system's resolver. */
  readonly lookup?: LookupFunction;
}

interface Tools {
  readonly clock: Clock;
  readonly random: () => number;
  readonly onEvent: (event: MeshEvent) => void;
}

/** A rule with what verifying by it needs. */
interface Prepared {
  readonly rule: JwtRule;
  readonly audiences: ReadonlySet<string>;
  readonly source: KeySource;
}

/** The rules that accept tokens at one place. */
interface Place {
  /** The same for equal rules, and of one length: what a token is remembered by begins with it. */
  readonly id: string;
  readonly rules: readonly Prepared[];
}

/** A token that was verified: for which moments, and by which key, is looked at on every use. */
interface Verified {
  readonly outcome: TokenOutcome;
  readonly token: Pick<Token, 'notBefore' | 'expires'>;
  /** Index of the rule in its place. */
  readonly by: number;
  readonly key: TokenKey;
}

type Cache = BoundedMap<Verified>;

/**
 * Verifies tokens as Envoy's jwt_authn does for Istio, behind a parser that is stricter than either, by keys that are looked after in the
 * background. A token that was seen before is judged at once.
 */
export function tokenVerifiers(options: TokenVerifiersOptions = {}): TokenVerifiers {
  const fetching = { blocked: blockedAddresses(options.blockedCidrs ?? []), ca: options.ca, lookup: options.lookup };
  const cache: Cache = new BoundedMap(options.rememberedTokens ?? 5000);
  const remotes = new Map<string, RemoteKeys>();

  function remote(place: KeyPlace, { clock, random }: Tools): RemoteKeys {
    const key = `${place.kind} ${place.url}`;
    let keys = remotes.get(key);
    if (keys === undefined) {
      keys = new RemoteKeys(publicName(place), (timeoutMs) => loadKeys(place, fetching, clock, timeoutMs), { clock, random });
      remotes.set(key, keys);
    }
    return keys;
  }

  return {
    prepare: (rules, tools) => {
      for (const [key, keys] of remotes) if (keys.stale) remotes.delete(key);
      const held: [RemoteKeys, KeyHolder][] = [];
      const prepared = rules.map((rule): Prepared => {
        const audiences = new Set(rule.audiences.map(bareAudience));
        const place = placeOf(rule);
        if (place === undefined) return { rule, audiences, source: inlineKeys(rule, tools) };
        const source = remote(place, tools);
        const holder = { timeoutMs: rule.timeoutMs, onEvent: tools.onEvent };
        source.hold(holder);
        held.push([source, holder]);
        return { rule, audiences, source };
      });
      return new Verifier(prepared, cache, tools.clock, () => {
        for (const [source, holder] of held.splice(0)) source.release(holder);
      });
    },
  };
}

function inlineKeys({ keys, resource }: JwtRule, { onEvent }: Tools): KeySource {
  const parsed = parseKeys(Buffer.from(keys.kind === 'inline' ? keys.jwks : ''), 'policy');
  if (typeof parsed === 'string') onEvent({ type: 'keys.failed', source: resource, reason: `its inline key set: ${parsed}` });
  const current = typeof parsed === 'string' ? undefined : parsed;
  return { current, renewed: () => Promise.resolve(current) };
}

const refused = (reason: string, status: 401 | 403 = 401): TokenOutcome => ({ ok: false, status, reason });

class Verifier implements TokenVerifier {
  readonly #prepared: ReadonlyMap<string, Prepared>;
  readonly #cache: Cache;
  readonly #clock: Clock;
  readonly #release: () => void;
  readonly #places = new WeakMap<readonly JwtRule[], Place>();

  constructor(prepared: readonly Prepared[], cache: Cache, clock: Clock, release: () => void) {
    this.#prepared = new Map(prepared.map((one) => [JSON.stringify(one.rule), one]));
    this.#cache = cache;
    this.#clock = clock;
    this.#release = release;
  }

  verify(text: string, rules: readonly JwtRule[]): TokenOutcome | Promise<TokenOutcome> {
    if (text.length > LONGEST_TOKEN) return refused(Malformed.long);
    const place = this.#placeOf(rules);
    const id = hash('sha256', place.id + text, 'binary');
    const known = this.#cache.get(id);
    if (known !== undefined) {
      const problem = timeProblem(known.token, this.#clock.wall());
      if (problem !== undefined) return refused(problem);
      // A key its issuer withdrew takes its tokens with it.
      if (place.rules[known.by]!.source.current?.ids.has(known.key.id) === true) return known.outcome;
      this.#cache.delete(id);
    }
    const token = parseToken(text);
    return typeof token === 'string' ? refused(token) : this.#judge(text, token, place, id);
  }

  close(): void {
    this.#release();
  }

  #placeOf(rules: readonly JwtRule[]): Place {
    let place = this.#places.get(rules);
    if (place === undefined) {
      // A rule this verifier was not prepared for accepts nothing.
      const names = rules.map((rule) => JSON.stringify(rule)).filter((name) => this.#prepared.has(name));
      place = { id: hash('sha256', names.join('\n'), 'base64url'), rules: names.map((name) => this.#prepared.get(name)!) };
      this.#places.set(rules, place);
    }
    return place;
  }

  /** In Envoy's order: issuer, time, audience, and only then keys and signature (jwt_authn authenticator.cc). */
  #judge(text: string, token: Token, place: Place, id: string): TokenOutcome | Promise<TokenOutcome> {
    const issued = place.rules.filter(({ rule }) => rule.issuer === '' || rule.issuer === token.issuer);
    if (issued.length === 0) return refused('Jwt issuer is not configured');
    const problem = timeProblem(token, this.#clock.wall());
    if (problem !== undefined) return refused(problem);
    const allowed = issued.filter(({ audiences }) => audienceAllowed(token, audiences));
    if (allowed.length === 0) return refused('Audiences in Jwt are not allowed', 403);
    return this.#prove(text, token, allowed).then(
      (proven) => {
        if (typeof proven === 'string') return refused(proven);
        const { by, key } = proven;
        const { claims: original, payload, notBefore, expires } = token;
        const outcome: TokenOutcome = { ok: true, rule: by.rule, claims: claimsFor(token, by.rule), original, payload };
        this.#cache.set(id, { outcome, token: { notBefore, expires }, by: place.rules.indexOf(by), key });
        return outcome;
      },
      // Only if jose cannot be loaded: then nobody is believed.
      () => refused('Jwt verification fails'),
    );
  }

  /** By which of the rules the token holds, or why by none: as its last says, as in Envoy. */
  async #prove(
    text: string,
    token: Token,
    rules: readonly Prepared[],
  ): Promise<{ readonly by: Prepared; readonly key: TokenKey } | string> {
    let reason = '';
    for (const by of rules) {
      const key = await signedBy(text, token, by);
      if (typeof key !== 'string') return { by, key };
      reason = key;
    }
    return reason;
  }
}

async function signedBy(text: string, token: Token, { rule, source }: Prepared): Promise<TokenKey | string> {
  const { current } = source;
  const keys = current ?? (await source.renewed(rule.timeoutMs));
  if (keys === undefined) return rule.keys.kind === 'inline' ? "Jwks doesn't have any valid public key" : 'Jwks remote fetch is failed';
  let signer = await signerOf(text, token, keys);
  if (signer === 'unknown' && keys === current) {
    // Perhaps a new key: its issuer is asked, if it was not just now.
    const newer = await source.renewed(rule.timeoutMs);
    if (newer !== undefined && newer !== keys) signer = await signerOf(text, token, newer);
  }
  if (signer === 'unknown') return "Jwks doesn't have key to match kid or alg from Jwt";
  return signer === 'wrong' ? 'Jwt verification fails' : signer;
}
