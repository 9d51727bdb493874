import * as v from 'valibot';
import { defaulted, flag, list, listOf, must, optional, required, text } from '../schema/fields.ts';
import { clip, isHttpToken, positiveDuration } from '../schema/scalars.ts';
import { securityKind, type Check, type Partly, type Path, type Report } from './kind.ts';
import { checkAttachment, selector, targets } from './parts/attachment.ts';
import { jwksFault, urlFault } from './parts/jwks.ts';

const S = { honoured: 'S' } as const;
const word = v.pipe(v.string(), v.minLength(1, 'is empty'));
const jwksUri = v.pipe(v.string(), v.minLength(1, 'is empty'), v.maxLength(2048, 'is longer than 2048 characters'), must(urlFault));

/** Parts of how a call travels: to overwrite one would send another call. */
const FRAMING: ReadonlySet<string> = new Set([
  'host', 'connection', 'content-length', 'transfer-encoding', 'upgrade', 'te', 'trailer', 'keep-alive',
]); // prettier-ignore

const tokenFault = (name: string): string | undefined => (isHttpToken(name) ? undefined : `"${clip(name)}" is not a header name`);
const outputFault = (name: string): string | undefined =>
  tokenFault(name) ??
  (FRAMING.has(name.toLowerCase()) ? `header ${clip(name)} is part of how the call travels\nchoose another one` : undefined);

const rule = v.object({
  issuer: text('Issuer of the tokens, their claim iss. May be left out with jwksUri only: then any issuer.', S),
  audiences: list(word, 'Audiences, any of which a token must name; without http:// or https:// and a last /.', { default: 'any', ...S }),
  jwksUri: optional(jwksUri, 'Where the public keys are fetched. Excludes jwks.', {
    default: 'found by OpenID discovery at the issuer',
    ...S,
  }),
  jwks_uri: optional(jwksUri, 'Where the public keys are fetched.', { deprecated: 'write jwksUri', ...S }),
  jwks: optional(v.pipe(v.string(), must(jwksFault)), 'The public keys themselves, as JSON. Excludes jwksUri.', S),
  fromHeaders: list(
    v.object({
      name: required(v.pipe(v.string(), must(tokenFault)), 'Name of the header.', S),
      prefix: text('What stands before the token, such as `Bearer ` with its space.', { default: 'nothing', ...S }),
    }),
    'Headers a token may be in.',
    { default: 'Authorization, behind `Bearer `, and query parameter access_token, unless fromParams or fromCookies say otherwise', ...S },
  ),
  fromParams: list(word, 'Query parameters a token may be in.', S),
  fromCookies: list(word, 'Cookies a token may be in.', S),
  outputPayloadToHeader: text('Header the verified payload is passed on in, as base64url. What callers send there is removed.', S),
  outputClaimToHeaders: list(
    v.object({
      header: required(
        v.pipe(v.string(), must(outputFault), v.regex(/^[-\w]+$/, 'has other characters than letters, digits, - and _')),
        'Name of the header.',
        S,
      ),
      claim: required(word, 'Claim, with dots for nested ones: a text, number or boolean.', S),
    }),
    'Claims that are passed on in headers. What callers send there is removed.',
    S,
  ),
  forwardOriginalToken: flag('Leave the token in the call; else it is removed from its header or query parameter once verified.', S),
  timeout: defaulted(positiveDuration, '5s', 'How long a fetch of keys may take.', S),
  spaceDelimitedClaims: listOf(64, 'claims', word, 'Claims that are lists with spaces between, beside scope and permission.', S),
});

const schema = v.object({
  selector,
  ...targets,
  jwtRules: listOf(
    4096,
    'rules',
    rule,
    'Tokens that are accepted, by issuer. A call with a token that fits none of them is refused; one without a token passes.',
    S,
  ),
});

export type RequestAuthenticationSpec = v.InferOutput<typeof schema>;
type JwtRule = RequestAuthenticationSpec['jwtRules'][number];

const rules: Check<RequestAuthenticationSpec> = (spec, report) => {
  checkAttachment(spec, report);
  for (const [index, one] of (spec.jwtRules ?? []).entries()) if (one !== undefined) checkJwtRule(one, ['jwtRules', index], report);
};

/** Istio's validateJwtRule, and the rules of its CRD. */
function checkJwtRule(given: Partly<JwtRule>, at: Path, report: Report): void {
  const sources = (['jwksUri', 'jwks_uri', 'jwks'] as const).filter((field) => given[field] !== undefined);
  for (const other of sources.slice(1)) report.conflict([...at, other], `${sources[0]} excludes ${other}`, 'keep one of them');
  if (given.issuer === undefined && given.jwksUri === undefined && given.jwks_uri === undefined)
    report.error([...at, 'issuer'], 'issuer is required without jwksUri', 'name the issuer of the tokens');
  else if (given.issuer !== undefined && sources.length === 0) {
    const fault = urlFault(given.issuer);
    if (fault !== undefined)
      report.warning(
        [...at, 'issuer'],
        `no keys can be found at "${clip(given.issuer)}", so every token of it is refused`,
        'add jwksUri or jwks',
      );
  }
  const payload = given.outputPayloadToHeader;
  const payloadFault = payload === undefined ? undefined : outputFault(payload);
  if (payloadFault !== undefined) report.error([...at, 'outputPayloadToHeader'], payloadFault);
  const outputs = new Set<string>(payload === undefined ? [] : [payload.toLowerCase()]);
  for (const [index, output] of (given.outputClaimToHeaders ?? []).entries()) {
    const header = output?.header?.toLowerCase();
    if (header !== undefined && outputs.size === outputs.add(header).size)
      report.error([...at, 'outputClaimToHeaders', index, 'header'], `header ${clip(header)} is set twice`, 'choose another name');
  }
}

/** Decides which tokens of callers are believed. */
export const requestAuthentication = securityKind({
  kind: 'RequestAuthentication',
  summary:
    'Which tokens (JWT) of callers are believed: their issuers, audiences and keys, where they are found, and what of them is passed on.',
  schema,
  checks: [rules],
});
