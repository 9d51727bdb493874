import * as v from 'valibot';
import { defaulted, filled, required, text } from '../schema/fields.ts';
import { gatewayApiKind } from './kind.ts';

const schema = v.object({
  from: filled(
    v.object({
      group: required(v.string(), 'API group of who refers.'),
      kind: required(v.string(), 'Kind of who refers.'),
      namespace: required(v.string(), 'Namespace of who refers.'),
    }),
    'Who may refer.',
  ),
  to: filled(
    v.object({
      group: defaulted(v.string(), '', 'API group of what is referred to.'),
      kind: required(v.string(), 'Kind of what is referred to.'),
      name: text('Its name.', { default: 'all' }),
    }),
    'To what.',
  ),
});

/** Permission to refer across namespaces. */
export const referenceGrant = gatewayApiKind({
  kind: 'ReferenceGrant',
  summary: 'Permission to refer to objects of another namespace. Routes of callers in the mesh need none (GAMMA, GEP-1294).',
  schema,
});
