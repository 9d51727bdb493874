import { BAD_ABOVE, dashboard, GOOD_ABOVE, lines, many, stat, table } from './grafana.mjs';

const PROCESS = 'job=~"$job",instance=~"$instance"';
const RATE = '$__rate_interval';

/** Whether every process obeys the policy it should, and can prove who it is. */
export const policy = dashboard({
  uid: 'inmesh-policy',
  title: 'inmesh / Policy',
  description: 'Whether every process obeys the policy it should, hears of changes, and can prove who it is.',
  variables: [
    many('job', 'Job', 'label_values(inmesh_policy_info, job)'),
    many('instance', 'Instance', 'label_values(inmesh_policy_info{job=~"$job"}, instance)'),
  ],
  rows: [
    {
      title: 'Now',
      panels: [
        stat('Processes', `count(inmesh_policy_info{${PROCESS}})`),
        stat('Versions in force', `count(count by (version) (inmesh_policy_info{${PROCESS}}))`, { thresholds: BAD_ABOVE(2, 3), description: 'One, unless a change is on its way or jobs have policies of their own.' }),
        stat('Refused in the last hour', `sum(increase(inmesh_policy_rejected_total{${PROCESS}}[1h]))`, { thresholds: BAD_ABOVE(0.5, 5), decimals: 0 }),
        stat('Sources that answer', `sum(inmesh_policy_source_up{${PROCESS}}) / count(inmesh_policy_source_up{${PROCESS}})`, { unit: 'percentunit', thresholds: GOOD_ABOVE(0.9, 1) }),
        stat('First certificate ends in', `min(inmesh_identity_expiry_timestamp_seconds{${PROCESS}}) - time()`, { unit: 's', thresholds: GOOD_ABOVE(300, 900) }),
        stat('Last change', `min(inmesh_policy_age_seconds{${PROCESS}})`, { unit: 's', description: 'How long ago the youngest policy in force was applied.' }),
      ],
    },
    {
      title: 'Policy',
      panels: [
        lines('Processes by version', [[`count by (job, version) (inmesh_policy_info{${PROCESS}})`, '{{job}} {{version}}']], { stack: true }),
        lines('Applied and refused', [
          [`sum by (job) (increase(inmesh_policy_applied_total{${PROCESS}}[${RATE}]))`, '{{job}} applied'],
          [`sum by (job) (increase(inmesh_policy_rejected_total{${PROCESS}}[${RATE}]))`, '{{job}} refused'],
        ]),
        lines('Source answers', [[`min by (job, instance) (inmesh_policy_source_up{${PROCESS}})`, '{{job}} {{instance}}']], { max: 1, description: '0: the policy stays in force, and changes are not heard of.' }),
        lines('Age of the policy in force', [[`max by (job) (inmesh_policy_age_seconds{${PROCESS}})`, '{{job}} oldest'], [`min by (job) (inmesh_policy_age_seconds{${PROCESS}})`, '{{job}} youngest']], { unit: 's' }),
        table('Who obeys what', { job: 'Job', instance: 'Instance', version: 'Version' }, [[`max by (job, instance, version) (inmesh_policy_info{${PROCESS}})`, 'In force', 'short']], { w: 24, h: 8 }),
      ],
    },
    {
      title: 'Identity',
      panels: [
        lines('Certificates end in', [[`min by (principal) (inmesh_identity_expiry_timestamp_seconds{${PROCESS}}) - time()`, '{{principal}}']], { unit: 's', w: 8 }),
        lines('Rotations', [
          [`sum by (job) (increase(inmesh_identity_rotations_total{${PROCESS}}[${RATE}]))`, '{{job}} taken into use'],
          [`sum by (job) (increase(inmesh_identity_failures_total{${PROCESS}}[${RATE}]))`, '{{job}} failed'],
        ], { w: 8 }),
        lines('Keys of token issuers', [
          [`min by (source) (inmesh_jwt_keys{${PROCESS}})`, '{{source}} usable'],
          [`sum by (source) (increase(inmesh_jwt_key_failures_total{${PROCESS}}[${RATE}]))`, '{{source}} failures'],
        ], { w: 8 }),
      ],
    },
    {
      title: 'Callers and registries',
      panels: [
        lines('Calls refused by AuthorizationPolicies', [
          [`sum by (job) (rate(envoy_http_rbac_denied{${PROCESS}}[${RATE}]))`, '{{job}} refused'],
          [`sum by (job) (rate(envoy_http_rbac_shadow_denied{${PROCESS}}[${RATE}]))`, '{{job}} would be, by policies in dry run'],
        ], { unit: 'reqps' }),
        lines('Registries that answer', [[`min by (job, registry) (inmesh_registry_up{${PROCESS}})`, '{{job}} {{registry}}']], { max: 1, description: '0: the endpoints that were known stay in use.' }),
      ],
    },
    {
      title: 'Processes',
      panels: [
        lines('Versions of the mesh', [[`sum by (job, tag) (istio_build{component="proxy",${PROCESS}})`, '{{job}} {{tag}}']], { w: 8, stack: true }),
        lines('Time series of calls', [[`max by (job) (inmesh_metrics_series{${PROCESS}})`, '{{job}} most of a process']], { w: 8 }),
        lines('Calls without series of their own', [[`sum by (job) (rate(inmesh_metrics_overflow_total{${PROCESS}}[${RATE}]))`, '{{job}}']], { unit: 'reqps', w: 8, description: 'Above 0: the limit of time series is reached, and calls are counted under “overflow”.' }),
      ],
    },
  ],
}); // prettier-ignore
