/**
 * A schedule of five fields in words: `Every 5 minutes`, `At 02:30 on weekdays`. What has no short form is told field by
 * field, so the words are long at worst and never wrong. Times are the server's.
 */
export function cronWords(expression: string): string {
  const fields = expression.trim().toLowerCase().split(/\s+/);
  const [minute = '*', hour = '*', day = '*', month = '*', weekday = '*'] = fields;
  if (fields.length !== 5) return '';
  const time = timeWords(minute, hour);
  const days = daysWords(day, month, weekday);
  if (time !== undefined && days !== undefined) return days === '' ? time : `${time} ${days}`;
  return `Minute ${minute}, hour ${hour}, day ${day}, month ${month}, weekday ${weekday}`;
}

function timeWords(minute: string, hour: string): string | undefined {
  const step = /^\*\/(\d+)$/.exec(minute)?.[1] ?? (minute === '*' ? '1' : undefined);
  const every = step === undefined ? undefined : step === '1' ? 'Every minute' : `Every ${step} minutes`;
  if (every !== undefined && hour === '*') return every;
  const range = /^(\d+)-(\d+)$/.exec(hour);
  if (every !== undefined && range) return `${every} from ${pad(range[1])}:00 to ${pad(range[2])}:59`;
  if (!/^\d+$/.test(minute)) return undefined;
  if (hour === '*') return minute === '0' ? 'Every hour' : `Every hour at minute ${minute}`;
  const hours = /^\*\/(\d+)$/.exec(hour)?.[1];
  if (hours !== undefined) return `Every ${hours} hours at minute ${minute}`;
  if (!/^\d+(,\d+)*$/.test(hour)) return undefined;
  return `At ${hour
    .split(',')
    .map((one) => `${pad(one)}:${pad(minute)}`)
    .join(', ')}`;
}

const names = ['Sundays', 'Mondays', 'Tuesdays', 'Wednesdays', 'Thursdays', 'Fridays', 'Saturdays', 'Sundays'];

function daysWords(day: string, month: string, weekday: string): string | undefined {
  if (month !== '*') return undefined;
  if (day === '*' && weekday === '*') return '';
  if (day === '*' && (weekday === '1-5' || weekday === 'mon-fri')) return 'on weekdays';
  if (day === '*' && /^[0-7]$/.test(weekday)) return `on ${names[Number(weekday)]}`;
  if (weekday === '*' && /^\d+$/.test(day)) return `on day ${day} of the month`;
  return undefined;
}

function pad(text = ''): string {
  return text.padStart(2, '0');
}
