-- Genuine notices that nobody could read are kept as they came, sealed by WeChat, until they can be read.
alter table payment_notices drop constraint ck_payment_notices_state;
alter table payment_notices add constraint ck_payment_notices_state
  check (state in ('settled','refused','ignored','unread'));
alter table payment_notices add column body bytea;
alter table payment_notices add constraint ck_payment_notices_body_of_unread check (body is null or state = 'unread');
create index ix_payment_notices_unread on payment_notices (id) where body is not null;
