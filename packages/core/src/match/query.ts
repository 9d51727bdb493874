/**
 * First value of a query parameter, as written: neither name nor value is URL-decoded (Envoy parseQueryString).
 * A parameter without `=` has the value ''; undefined if there is none of that name.
 */
export function queryValue(query: string, name: string): string | undefined {
  for (let start = 0; start < query.length;) {
    let end = query.indexOf('&', start);
    if (end < 0) end = query.length;
    const after = start + name.length;
    if (query.startsWith(name, start)) {
      if (after === end) return '';
      if (after < end && query.charCodeAt(after) === EQUALS) return query.slice(after + 1, end);
    }
    start = end + 1;
  }
  return undefined;
}

const EQUALS = 61;
