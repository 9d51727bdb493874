import type { Registrations } from './registrations.ts';

/** Who is registered, for a person with a browser. */
export function page(registrations: Registrations): string {
  const rows = registrations.catalog.flatMap(({ host, ports }) => {
    const names = ports.map(({ name, number, protocol }) => `${name} ${number} ${protocol}`).join(', ');
    return (registrations.service(host)?.members ?? []).map(({ id, namespace, workload, member }, index) => {
      const { address, ports: own, locality = '', health = 'healthy', labels } = member;
      const listens = Object.entries(own).map(([name, port]) => `${name} ${port}`).join(', '); // prettier-ignore
      const cells = [index === 0 ? host : '', index === 0 ? names : '', id, `${namespace}/${workload}`, address, listens, locality, Object.entries(labels).map((pair) => pair.join('=')).join(' '), health]; // prettier-ignore
      return `<tr>${cells.map((cell) => `<td>${escape(cell)}</td>`).join('')}</tr>`;
    });
  });
  const heads = ['service', 'ports', 'registration', 'workload', 'address', 'listens on', 'locality', 'labels', 'health'];
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>inmesh registry</title>
<style>body{font:14px system-ui;margin:2em}table{border-collapse:collapse}td,th{padding:.3em .8em;text-align:left;border-bottom:1px solid #ccc}</style>
<h1>${registrations.catalog.length} services, ${registrations.size} registrations</h1>
<table><tr>${heads.map((head) => `<th>${head}</th>`).join('')}</tr>${rows.join('\n')}</table>
`;
}

/** What machines say of themselves is not to be believed, least of all by a browser. */
const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text: string): string => text.replace(/[&<>"']/g, (char) => ENTITIES[char]!);
