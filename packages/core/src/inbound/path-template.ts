// What `{*}` and `{**}` stand for in Envoy's uri_template (with the `*` of CVE-2025-46821).
const NARROW = /^[A-Za-z0-9\-._~%!$&'()+,;:@=*]*$/;
const WIDE = /^[^/]*$/;

export const isPathTemplate = (value: string): boolean => value.includes('{*}') || value.includes('{**}');

/**
 * A path template of an AuthorizationPolicy: `{*}` is one segment that is not empty, `{**}` any number of segments, one at
 * least, that may be empty. `wide`: any character; else Envoy's class. A rule that denies looks wide, so that no odd
 * character slips past it, one that allows looks narrow.
 */
export function compilePathTemplate(template: string, wide: boolean): (path: string) => boolean {
  const parts = template.split('/');
  const rest = parts.indexOf('{**}');
  const before = rest < 0 ? parts : parts.slice(0, rest);
  const after = rest < 0 ? [] : parts.slice(rest + 1);
  // Most paths end here: everything before the first variable stands for itself.
  const head = template.slice(0, template.search(/\{\*\*?\}/));
  const one = wide ? WIDE : NARROW;
  const fits = (part: string, segment: string): boolean => (part === '{*}' ? segment !== '' && one.test(segment) : part === segment);
  return (path) => {
    if (!path.startsWith(head)) return false;
    const segments = path.split('/');
    const middle = segments.length - before.length - after.length;
    if (rest < 0 ? middle !== 0 : middle < 1) return false;
    return (
      before.every((part, at) => fits(part, segments[at]!)) &&
      after.every((part, at) => fits(part, segments[before.length + middle + at]!)) &&
      segments.slice(before.length, before.length + middle).every((segment) => one.test(segment))
    );
  };
}
