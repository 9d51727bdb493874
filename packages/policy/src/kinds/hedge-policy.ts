import * as v from 'valibot';
import { defaulted, filled, must, required } from '../schema/fields.ts';
import { clip, duration, host, whole } from '../schema/scalars.ts';
import { inmeshKind } from './kind.ts';

/** A path, or with a `*` at its end all that begin so: for gRPC `/package.Service/Method`, or `/package.Service/*`. */
const path = v.pipe(
  v.string(),
  must<string>((value) => {
    if (!value.startsWith('/')) return `"${clip(value)}" is no path\nwrite such as /shop.Ratings/Get`;
    return value.indexOf('*') === -1 || value.indexOf('*') === value.length - 1
      ? undefined
      : `"${clip(value)}" holds a wildcard before its end\nname each path, or end with one *`;
  }),
);

const schema = v.object({
  host: required(
    host,
    'Service the policy is for: a name, a host of a ServiceEntry, or a wildcard. A short name means the namespace of the policy.',
    { honoured: 'G' },
  ),
  idempotent: filled(
    path,
    'What may be carried out more than once: paths, of gRPC `/package.Service/Method`; a `*` at the end stands for the rest.',
    { honoured: 'G' },
  ),
  delay: required(duration, 'How long an attempt is given before the next is sent beside it. 0: all at once.', { honoured: 'G' }),
  // gRFC A6 has the same bound.
  maxAttempts: defaulted(whole(2, 5), 2, 'Attempts of one call, the first included.', { honoured: 'G' }),
});

/**
 * Hedging: names what of a service is idempotent, and when a second attempt is sent beside one that is slow. Istio has no
 * word for it; the meaning is that of gRPC's hedgingPolicy (gRFC A6).
 */
export const hedgePolicy = inmeshKind({
  kind: 'HedgePolicy',
  summary: 'Hedging: calls that may be carried out twice are sent to a second endpoint when the first is slow; the first answer wins.',
  schema,
});
