-- Genuine notices that nobody could read are kept as they came, sealed by WeChat, until they can be read.
alter table payment_notices drop constraint ck_payment_notices_state;
alter table payment_notices add constraint ck_payment_notices_state
  check (state in ('settled','refused','ignored','unread'));
alter table payment_notices add column body bytea;
alter table payment_notices add constraint ck_payment_notices_body_of_unread check (body is null or state = 'unread');
create index ix_payment_notices_unread on payment_notices (id) where body is not null;

-- While somebody asks for an account, its codes are neither shown nor redeemed. What comes into being meanwhile is held
-- too: whoever makes a wallet or a code of a person waits for a recovery that is just being asked for, then sees it.
alter table codes add column held boolean not null default false;
create function hold_of_recovery() returns trigger
language plpgsql as $$
begin
  perform 1 from persons where id = new.person_id for key share;
  if exists (select from recoveries where person_id = new.person_id and state = 'waiting') then
    if tg_table_name = 'wallets' then
      new.frozen := true;
    else
      new.held := true;
    end if;
  end if;
  return new;
end $$;
create trigger wallets_hold before insert on wallets for each row execute function hold_of_recovery();
create trigger codes_hold before insert on codes for each row execute function hold_of_recovery();

-- What WeChat's order management says afterwards: a reminder, the receipt, the settlement.
alter table shipments
  add column reminded_at timestamp with time zone,
  add column received_at timestamp with time zone,
  add column settled_at timestamp with time zone;

-- A refund that WeChat can't bring to the payer's account or card was paid by the bank: two persons, with evidence.
alter table refunds drop constraint ck_refunds_state;
alter table refunds add constraint ck_refunds_state
  check (state in ('asked','processing','success','abnormal','closed','transferred'));
alter table refunds
  add column evidence text,
  add column transferred_at timestamp with time zone,
  add column approval_id bigint,
  add constraint ck_refunds_transferred check ((state = 'transferred') = (evidence is not null)
    and (evidence is null) = (transferred_at is null) and (evidence is null) = (approval_id is null)),
  add constraint fk_refunds_approval_id foreign key (approval_id) references approvals (id);
