// The words of Grafana's dashboard JSON that ours are written with (schema version 41: Grafana 12, read by later ones too).

const SOURCE = { type: 'prometheus', uid: '${datasource}' };
const COLUMNS = 24;

/** A dashboard: its rows, from top to bottom, each a title and its panels from left to right. */
export function dashboard({ uid, title, description, variables, rows }) {
  const panels = [];
  let y = 0;
  for (const { title: name, panels: row } of rows) {
    panels.push({ id: panels.length + 1, type: 'row', title: name, collapsed: false, gridPos: { x: 0, y, w: COLUMNS, h: 1 }, panels: [] });
    y += 1;
    let x = 0;
    let height = 0;
    for (const { w, h, ...panel } of row) {
      if (x + w > COLUMNS) {
        x = 0;
        y += height;
        height = 0;
      }
      panels.push({ id: panels.length + 1, ...panel, gridPos: { x, y, w, h } });
      x += w;
      height = Math.max(height, h);
    }
    y += height;
  }
  return {
    uid,
    title,
    description,
    tags: ['inmesh'],
    schemaVersion: 41,
    version: 1,
    editable: true,
    graphTooltip: 1,
    time: { from: 'now-30m', to: 'now' },
    refresh: '15s',
    timezone: '',
    links: [
      { title: 'inmesh', type: 'dashboards', tags: ['inmesh'], asDropdown: true, includeVars: false, keepTime: true, targetBlank: false, icon: 'external link', tooltip: '', url: '' },
    ],
    annotations: {
      list: [
        {
          name: 'Policy changes',
          enable: true,
          hide: false,
          iconColor: 'blue',
          datasource: SOURCE,
          expr: 'sum by (job) (changes(inmesh_policy_applied_total[1m])) > 0',
          step: '1m',
          titleFormat: 'A policy was put in force',
          textFormat: '{{job}}',
        },
      ],
    },
    templating: { list: [DATASOURCE, ...variables] },
    panels,
  };
} // prettier-ignore

const DATASOURCE = { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', hide: 0, refresh: 1, regex: '', includeAll: false, multi: false, current: {}, options: [] }; // prettier-ignore

/** A variable whose values Prometheus knows: a `label_values` or `query_result`, `regex` picks the value out of the latter. One value is chosen. */
export const one = (name, label, query, regex = '') => ({
  name,
  label,
  type: 'query',
  datasource: SOURCE,
  definition: query,
  query: { qryType: query.startsWith('query_result') ? 3 : 1, query, refId: 'PrometheusVariableQueryEditor-VariableQuery' },
  refresh: 2,
  regex,
  sort: 1,
  hide: 0,
  includeAll: false,
  multi: false,
  current: {},
  options: [],
});

/** The same, of which any number may be chosen; all by default. Used in matchers `=~`. */
export const many = (name, label, query, regex) => ({
  ...one(name, label, query, regex),
  includeAll: true,
  multi: true,
  allValue: '.*',
  current: { selected: true, text: ['All'], value: ['$__all'] },
});

/** Who tells: clients, servers, or both. */
export const REPORTER = {
  name: 'reporter',
  label: 'Reporter',
  type: 'custom',
  query: 'source,destination',
  hide: 0,
  includeAll: false,
  multi: true,
  current: { selected: true, text: ['source', 'destination'], value: ['source', 'destination'] },
  options: ['source', 'destination'].map((value) => ({ selected: true, text: value, value })),
};

const targets = (list, extra = {}) =>
  list.map(([expr, legend = ''], index) => ({
    refId: String.fromCharCode(65 + index),
    datasource: SOURCE,
    editorMode: 'code',
    expr,
    legendFormat: legend,
    ...extra,
  }));

const steps = (list) => ({
  mode: 'absolute',
  steps: list.map(([color, value]) => ({ color, value })),
});

const NEUTRAL = [['text', null]];
/** For ratios of success. */
export const GOOD_ABOVE = (bad, good) => [['red', null], ['orange', bad], ['green', good]]; // prettier-ignore
/** For what should be nothing. */
export const BAD_ABOVE = (some, many) => [['green', null], ['orange', some], ['red', many]]; // prettier-ignore

/** One number, as it is now. */
export const stat = (title, expr, { unit = 'short', w = 4, h = 4, thresholds = NEUTRAL, description = '', decimals, noValue = '–' } = {}) => ({
  type: 'stat',
  title,
  description,
  datasource: SOURCE,
  targets: targets([[expr]]),
  fieldConfig: { defaults: { unit, noValue, ...(decimals === undefined ? {} : { decimals }), thresholds: steps(thresholds), mappings: [] }, overrides: [] },
  options: { colorMode: 'value', graphMode: 'area', justifyMode: 'auto', orientation: 'auto', textMode: 'auto', reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false } },
  w,
  h,
}); // prettier-ignore

/** Lines over time: `[expression, legend]` each. */
export const lines = (title, queries, { unit = 'short', w = 12, h = 8, description = '', stack = false, min = 0, max } = {}) => ({
  type: 'timeseries',
  title,
  description,
  datasource: SOURCE,
  targets: targets(queries, { range: true }),
  fieldConfig: {
    defaults: {
      unit,
      min,
      ...(max === undefined ? {} : { max }),
      color: { mode: 'palette-classic' },
      custom: { drawStyle: 'line', lineWidth: 1, fillOpacity: stack ? 40 : 10, showPoints: 'never', spanNulls: false, stacking: { mode: stack ? 'normal' : 'none', group: 'A' } },
      thresholds: steps(NEUTRAL),
      mappings: [],
    },
    overrides: [],
  },
  options: { legend: { displayMode: 'table', placement: 'bottom', showLegend: true, calcs: ['mean', 'lastNotNull'] }, tooltip: { mode: 'multi', sort: 'desc' } },
  w,
  h,
}); // prettier-ignore

/** A table of the present: each column is `[expression, heading, unit]`, rows are joined by the labels, which `labels` names and titles. */
export const table = (title, labels, columns, { w = 24, h = 9, description = '' } = {}) => ({
  type: 'table',
  title,
  description,
  datasource: SOURCE,
  targets: targets(columns.map(([expr]) => [expr]), { format: 'table', instant: true, range: false }),
  transformations: [
    { id: 'merge', options: {} },
    {
      id: 'organize',
      options: {
        excludeByName: { Time: true },
        indexByName: {},
        renameByName: {
          ...labels,
          // Of a single query Grafana calls the column just Value.
          ...(columns.length === 1
            ? { Value: columns[0][1] }
            : Object.fromEntries(columns.map(([, heading], index) => [`Value #${String.fromCharCode(65 + index)}`, heading]))),
        },
      },
    },
  ],
  fieldConfig: {
    defaults: { custom: { align: 'auto', filterable: true }, thresholds: steps(NEUTRAL), mappings: [] },
    overrides: columns.map(([, heading, unit]) => ({
      matcher: { id: 'byName', options: heading },
      properties: [{ id: 'unit', value: unit }, { id: 'decimals', value: 2 }],
    })),
  },
  options: { showHeader: true, cellHeight: 'sm', footer: { show: false } },
  w,
  h,
}); // prettier-ignore
