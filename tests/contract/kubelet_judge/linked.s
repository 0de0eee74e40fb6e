// Empty: functions without a body are linked by name.
