import { createTask, type Logger } from 'node-cron';

type Log = (level: 'info' | 'warn' | 'error', message: string) => void;

/** Calls back at the times of a schedule, and not while the call before it goes on. `due` never rejects. */
export function createSchedule(name: string, expression: string, due: () => Promise<void>, log: Log) {
  const task = createTask(expression, due, { noOverlap: true, name, logger: quietLogger(log), unref: true });
  void task.start();
  return { stop: async (): Promise<void> => void (await task.destroy()) };
}

/** Node-cron warns of each overlapped or late run, which is harmless here: a missed one is made up by the next. */
export function quietLogger(log: Log): Logger {
  const nothing = () => undefined;
  return { info: nothing, debug: nothing, warn: nothing, error: (message) => log('error', String(message)) };
}
