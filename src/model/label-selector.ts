export type Labels = Readonly<Record<string, string>>;

/** Whether something with these labels is meant. */
export type LabelSelector = (labels: Labels) => boolean;

const name = '[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?';
export const labelName = new RegExp(`^${name}$`);
export const labelValue = new RegExp(`^(?:${name})?$`);
const requirement = new RegExp(`^(${name})\\s*(=|==|!=)\\s*((?:${name})?)$`);

/**
 * An equality-based selector as Kubernetes has it: `shard=a`, `shard!=b`, several separated by commas, all of which must
 * hold. Something without a label has an other value than any that is named. Undefined: it is no selector.
 */
export function parseLabelSelector(text: string): LabelSelector | undefined {
  const found = text.split(',').map((part) => requirement.exec(part.trim()));
  if (found.some((part) => part === null)) return undefined;
  return (labels) =>
    found.every((part) => {
      const [, label = '', operator, value = ''] = part as RegExpExecArray;
      const has = Object.hasOwn(labels, label) && labels[label] === value;
      return operator === '!=' ? !has : has;
    });
}
