import htm from 'htm';
import { h, type VNode } from 'preact';

/** Elements as tagged templates: no compiler stands between what is written and what runs. */
export const html = htm.bind<VNode>(h) as (strings: TemplateStringsArray, ...values: unknown[]) => VNode;
