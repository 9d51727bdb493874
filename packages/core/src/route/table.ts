import type { PathMatch, RouteMatch } from '@inmesh/policy';
import type { Call } from '../call.ts';
import { allOf, type Condition, conditions } from '../match/conditions.ts';
import { foldCase } from '../match/path.ts';
import { literalPrefix } from '../match/re2.ts';

/** A list this short is walked; a longer one is divided once more. */
const HANDFUL = 6;

/** A rule as the table keeps it: its place in the list, and what is left to ask once the index has led to it. */
interface Rule {
  readonly index: number;
  readonly rest: readonly Condition[];
  readonly holds: ((call: Call) => boolean) | undefined;
}

/**
 * An ordered list of rules of which the first match decides, found without walking the list.
 *
 * Rules are kept in a radix tree by the text their path must begin with (or be), so a path leads to exactly those rules
 * that it can match. Where many of them remain, they are divided by the value of the header, method or parameter that
 * most of them demand. What a place in the tree offers is computed at its first visit. The answer is always that of the
 * plain scan: the index only leaves out rules that cannot match.
 */
export class RouteTable<V> {
  readonly #values: readonly V[];
  readonly #root = new Place('');
  /** A rule ignores case: then the index is kept folded, and rules compare the path themselves. */
  readonly #folded: boolean;

  constructor(rules: readonly { readonly match: RouteMatch; readonly value: V }[]) {
    this.#values = rules.map((rule) => rule.value);
    this.#folded = rules.some(({ match: { path } }) => path !== null && path.kind !== 'regex' && path.ignoreCase);
    for (const [index, { match }] of rules.entries()) {
      const anchor = anchorOf(match.path, this.#folded);
      const rest = conditions(anchor.decides ? { ...match, path: null } : match);
      const rule = { index, rest, holds: allOf(rest) };
      const place = this.#root.at(anchor.text);
      (anchor.whole ? place.whole : place.below).push(rule);
    }
  }

  /** The value of the first rule that matches. */
  find(call: Call): V | undefined {
    const index = this.indexOf(call);
    return index < 0 ? undefined : this.#values[index];
  }

  /** Its place in the list; −1 if none matches. */
  indexOf(call: Call): number {
    return this.#root.look(this.#folded ? foldCase(call.path) : call.path)(call);
  }
}

/** `decides`: being led there proves the path condition. `whole`: the path must be the text, not only begin with it. */
interface Anchor {
  readonly text: string;
  readonly whole: boolean;
  readonly decides: boolean;
}

function anchorOf(path: PathMatch | null, folded: boolean): Anchor {
  if (path === null) return { text: '', whole: false, decides: true };
  const fold = folded ? foldCase : (text: string): string => text;
  switch (path.kind) {
    case 'exact':
      return { text: fold(path.value), whole: true, decides: !folded };
    case 'prefix':
      return { text: fold(path.value), whole: false, decides: !folded };
    case 'segments':
      return { text: fold(path.value), whole: false, decides: path.value === '' };
    case 'regex':
      return { text: fold(literalPrefix(path.value)), whole: false, decides: false };
  }
}

const LAST_ASCII = 127;

/** Which rule of a list applies: its index, −1 for none. */
type Choice = (call: Call) => number;

/** A place in the radix tree. `label` is the text of the edge that leads to it. */
class Place {
  label: string;
  whole: Rule[] = [];
  below: Rule[] = [];
  /** Children by the first letter of their label, from `#from` on: an array over the letters that occur is quicker than a Map. */
  #near: (Place | undefined)[] = [];
  #from = 0;
  /** Those beyond ASCII. */
  #far: Map<number, Place> | undefined = undefined;
  #parent: Place | undefined = undefined;
  #here: Choice | undefined = undefined;
  #under: Choice | undefined = undefined;

  constructor(label: string) {
    this.label = label;
  }

  /** The place of a text, made if need be. */
  at(text: string): Place {
    if (text === '') return this;
    const code = text.charCodeAt(0);
    const child = this.#child(code);
    if (child === undefined) return this.#grow(new Place(text));
    const common = commonLength(text, child.label);
    if (common === child.label.length) return child.at(text.slice(common));
    // The edge splits: a new place takes its first part.
    const between = this.#grow(new Place(text.slice(0, common)));
    child.label = child.label.slice(common);
    between.#grow(child);
    return between.at(text.slice(common));
  }

  /** The choice among all rules that a path can match. */
  look(path: string): Choice {
    // oxlint-disable-next-line typescript/no-this-alias -- a walk down the tree begins here
    let place: Place = this;
    let at = 0;
    while (at < path.length) {
      const child = place.#child(path.charCodeAt(at));
      if (child === undefined || !continues(path, at, child.label)) return place.#choiceUnder();
      at += child.label.length;
      place = child;
    }
    return place.#choiceHere();
  }

  #grow(child: Place): Place {
    child.#parent = this;
    this.#put(child.label.charCodeAt(0), child);
    return child;
  }

  #child(code: number): Place | undefined {
    const at = code - this.#from;
    if (at >= 0 && at < this.#near.length) return this.#near[at];
    return code <= LAST_ASCII ? undefined : this.#far?.get(code);
  }

  #put(code: number, child: Place): void {
    if (code > LAST_ASCII) {
      (this.#far ??= new Map<number, Place>()).set(code, child);
      return;
    }
    if (this.#near.length === 0) this.#from = code;
    for (; code < this.#from; this.#from -= 1) this.#near.unshift(undefined);
    while (code >= this.#from + this.#near.length) this.#near.push(undefined);
    this.#near[code - this.#from] = child;
  }

  /** For paths that go on from here. */
  #choiceUnder(): Choice {
    return (this.#under ??= this.below.length === 0 && this.#parent !== undefined ? this.#parent.#choiceUnder() : choose(this.#above()));
  }

  /** For the path that ends here. */
  #choiceHere(): Choice {
    return (this.#here ??= this.whole.length === 0 ? this.#choiceUnder() : choose(merge(this.whole, this.#above())));
  }

  /** All rules whose text this place begins with, in order. */
  #above(): Rule[] {
    const parents = this.#parent === undefined ? [] : this.#parent.#above();
    return this.below.length === 0 ? parents : merge(this.below, parents);
  }
}

/** Does `path` go on with `label` at `at`? The first letter is known to. A loop, because startsWith costs three times as much here. */
function continues(path: string, at: number, label: string): boolean {
  if (at + label.length > path.length) return false;
  for (let offset = 1; offset < label.length; offset += 1) {
    if (path.charCodeAt(at + offset) !== label.charCodeAt(offset)) return false;
  }
  return true;
}

function commonLength(left: string, right: string): number {
  let length = 0;
  while (length < left.length && length < right.length && left.charCodeAt(length) === right.charCodeAt(length)) length += 1;
  return length;
}

function merge(left: readonly Rule[], right: readonly Rule[]): Rule[] {
  return [...left, ...right].sort((one, other) => one.index - other.index);
}

/** The first of an ordered list of rules that holds; behind a rule without conditions there is nothing. */
function choose(all: readonly Rule[]): Choice {
  const end = all.findIndex((rule) => rule.holds === undefined);
  const last = end < 0 ? -1 : all[end]!.index;
  const rules = end < 0 ? all : all.slice(0, end);
  if (rules.length === 0) return () => last;
  if (rules.length > HANDFUL) {
    const divided = divide(rules);
    if (divided !== undefined) {
      return (call) => {
        const index = divided(call);
        return index < 0 ? last : index;
      };
    }
  }
  const holds = rules.map((rule) => rule.holds!);
  const indices = rules.map((rule) => rule.index);
  return (call) => {
    for (let at = 0; at < holds.length; at += 1) if (holds[at]!(call)) return indices[at]!;
    return last;
  };
}

/** Divides a list by the subject of which most rules demand one value; undefined if no subject makes it much shorter. */
function divide(rules: readonly Rule[]): Choice | undefined {
  const demands = new Map<string, { readonly condition: Condition; readonly sizes: Map<string, number>; rules: number }>();
  for (const rule of rules) {
    for (const { subject, only, condition } of demandsOf(rule).values()) {
      let demand = demands.get(subject);
      if (demand === undefined) demands.set(subject, (demand = { condition, sizes: new Map(), rules: 0 }));
      demand.sizes.set(only, (demand.sizes.get(only) ?? 0) + 1);
      demand.rules += 1;
    }
  }
  let best: Condition | undefined;
  let shortest = rules.length * 0.75;
  for (const { condition, sizes, rules: demanding } of demands.values()) {
    const longest = rules.length - demanding + Math.max(...sizes.values());
    if (longest > shortest) continue;
    shortest = longest;
    best = condition;
  }
  if (best === undefined) return undefined;
  const { subject, read } = best;
  const byValue = new Map<string, Rule[]>();
  const without: Rule[] = [];
  for (const rule of rules) {
    const demand = demandsOf(rule).get(subject);
    if (demand === undefined) without.push(rule);
    else {
      const rest = rule.rest.filter((condition) => condition !== demand.condition);
      const shorter = { index: rule.index, rest, holds: allOf(rest) };
      const list = byValue.get(demand.only);
      if (list === undefined) byValue.set(demand.only, [shorter]);
      else list.push(shorter);
    }
  }
  const choices = new Map<string, Choice>();
  const others = choose(without);
  return (call) => {
    const value = read(call);
    if (value === undefined) return others(call);
    let choice = choices.get(value);
    if (choice === undefined) {
      const list = byValue.get(value);
      // Values that no rule names are not remembered: callers can invent any number of them.
      if (list === undefined) return others(call);
      choices.set(value, (choice = choose(merge(list, without))));
    }
    return choice(call);
  };
}

/** What a rule demands one value of, by subject; of two demands on one subject the first is enough to find it. */
function demandsOf(rule: Rule): Map<string, { readonly subject: string; readonly only: string; readonly condition: Condition }> {
  const demands = new Map<string, { readonly subject: string; readonly only: string; readonly condition: Condition }>();
  for (const condition of rule.rest) {
    const { subject, only } = condition;
    if (only !== undefined && !demands.has(subject)) demands.set(subject, { subject, only, condition });
  }
  return demands;
}
