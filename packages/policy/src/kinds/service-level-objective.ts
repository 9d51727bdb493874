import * as v from 'valibot';
import { defaulted, filled, must, optional, required } from '../schema/fields.ts';
import { destinationHost, longDuration, oneOf, positiveDuration } from '../schema/scalars.ts';
import { inmeshKind, type Check } from './kind.ts';

// Connections of TCP have no outcome to judge.
const ALL = { honoured: 'HGWS' } as const;
const HOUR = 3_600_000;

const share = v.pipe(
  v.number(),
  must<number>((value) =>
    value > 0 && value < 100
      ? undefined
      : `${value} is not a percentage above 0 and below 100\nwrite such as 99.9; a call that must never fail leaves no budget`,
  ),
);

const window = v.pipe(
  longDuration,
  must<number>((ms) => (ms >= HOUR && ms <= 90 * 24 * HOUR ? undefined : 'the window is not from 1h to 90d\nwrite such as 30d or 4w')),
);

const schema = v.object({
  service: required(
    destinationHost,
    'Service the objective is of: a name, or a host of a ServiceEntry. A short name means the namespace of the objective.',
    ALL,
  ),
  indicator: required(
    v.object({
      availability: optional(v.object({}), 'Good is a call that is answered, and not with 5xx or a gRPC status that stands for one.'),
      latency: optional(
        v.object({ threshold: required(positiveDuration, 'Longest time of a good call.') }),
        'Good is such a call that ends in time.',
      ),
    }),
    'What makes a call good: exactly one of these.',
    ALL,
  ),
  objective: required(share, 'Percent of the calls that shall be good, above 0 and below 100.', ALL),
  window: defaulted(window, '30d', 'Time the objective is for, back from now: 1h to 90d, with d and w as units too.', ALL),
  enforcement: optional(
    v.object({
      when: defaulted(oneOf('page', 'ticket'), 'page', 'How fast the budget must burn: fast enough to wake somebody, or to file a ticket.'),
      actions: filled(
        oneOf('tightenRetries', 'freezeWeights'),
        'tightenRetries: calls to the service are not sent again. freezeWeights: its splits stay as they were when it began.',
      ),
    }),
    'What is done while the budget burns.',
    { default: 'nothing, it is only told', ...ALL },
  ),
});

type ServiceLevelObjectiveSpec = v.InferOutput<typeof schema>;

const oneIndicator: Check<ServiceLevelObjectiveSpec> = ({ indicator }, report) => {
  if (indicator === undefined) return;
  const { availability, latency } = indicator;
  if (availability !== undefined && latency !== undefined)
    report.conflict(['indicator', 'latency'], 'availability excludes latency', 'make two objectives of it');
  if (availability === undefined && latency === undefined)
    report.error(['indicator'], 'the indicator is missing', 'add availability: {} or latency: { threshold: … }');
};

/** Names what a service has promised, and over which time. Istio has no word for it. */
export const serviceLevelObjective = inmeshKind({
  kind: 'ServiceLevelObjective',
  summary:
    'What a service promises: the share of its calls that are good over a window, and what is done when the rest is used up too fast.',
  schema,
  checks: [oneIndicator],
});
