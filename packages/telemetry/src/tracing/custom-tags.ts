import type { EndedCall } from '@inmesh/core';
import type { CustomTag } from '@inmesh/policy';
import type { CallInfo } from '../facts.ts';

/** What a command operator of Envoy's access logs says of a call; `-` or '' if nothing. Bound once per policy. */
export type Formatter = (format: string) => (call: EndedCall, info: CallInfo) => string;

/** The tags of a span, when its call has ended; those that have no value are left out, as Envoy does. */
export type Tags = (call: EndedCall, info: CallInfo) => Record<string, string>;

/** Telemetry `tracing.customTags`. Without a `formatter`, tags that ask for one are left out. */
export function compileTags(tags: Readonly<Record<string, CustomTag>>, formatter: Formatter | undefined): Tags {
  const fixed: Record<string, string> = {};
  const read: [name: string, value: (call: EndedCall, info: CallInfo) => string][] = [];
  for (const [name, tag] of Object.entries(tags)) {
    const { kind } = tag;
    if (kind === 'literal') fixed[name] = tag.value;
    else if (kind === 'environment') fixed[name] = process.env[tag.name] ?? tag.defaultValue;
    else if (kind === 'header') read.push([name, ({ call }) => call?.header(tag.name.toLowerCase()) ?? tag.defaultValue]);
    else if (formatter !== undefined) read.push([name, formatter(tag.format)]);
  }
  for (const name in fixed) if (fixed[name] === '') delete fixed[name];
  return (call, info) => {
    const all = { ...fixed };
    for (const [name, value] of read) {
      const text = value(call, info);
      if (text !== '' && text !== '-') all[name] = text;
    }
    return all;
  };
}
