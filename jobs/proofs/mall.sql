-- Stock, orders, codes, what merchants are owed, welfare.

-- STK-1 light: Stock counters are not negative and sum to the total.
select id as item_id, total, available, reserved, sold from items
where least(available, reserved, sold) < 0 or total <> available + reserved + sold;

-- STK-2: Stock counters equal the orders, and what is held for whoever waits was offered.
select i.id as item_id, i.sold, o.sold as ordered, i.reserved, o.reserved as unpaid, w.offered from items i
left join (
  select item_id, sum(quantity - refunded_pieces) filter (where state in ('paid', 'fulfilled', 'completed')) as sold,
         sum(quantity) filter (where state in ('placed', 'paying')) as reserved
  from orders group by item_id
) o on o.item_id = i.id
left join (select item_id, count(*) as offered from waitlist where state = 'offered' group by item_id) w
  on w.item_id = i.id
where i.sold <> coalesce(o.sold, 0) or i.reserved <> coalesce(o.reserved, 0) + coalesce(w.offered, 0);

-- STK-3 light: Nobody holds more pieces of an item than one person may, in all or in a period, and the count equals the
-- orders.
with ordered as (
  select o.item_id, o.person_id, k.period_key, sum(o.quantity - o.refunded_pieces) as pieces from orders o
  cross join lateral (select '' as period_key union select o.period_key) k
  where o.state in ('placed', 'paying', 'paid', 'fulfilled', 'completed') group by 1, 2, 3
)
select coalesce(p.item_id, o.item_id) as item_id, coalesce(p.person_id, o.person_id) as person_id,
       coalesce(p.period_key, o.period_key) as period, p.pieces, o.pieces as ordered, p.most
from item_purchases p
full join ordered o on o.item_id = p.item_id and o.person_id = p.person_id and o.period_key = p.period_key
where coalesce(p.pieces, 0) <> coalesce(o.pieces, 0) or p.pieces > p.most;

-- STK-4 light: While a worker is up, no unpaid order keeps its pieces long after its time, unless WeChat must close it.
select o.id as order_id, o.state, o.pay_until from orders o
where o.state in ('placed', 'paying') and o.pay_until < clock_timestamp() - interval '10 minutes'
  and not exists (select from payments p where p.subject_ref = o.id and p.state = 'closing')
  and exists (select from procrastinate_workers w where w.last_heartbeat > clock_timestamp() - interval '15 seconds');

-- STK-5: An order took exactly its credits from its person's wallet; they came back whole if it ended unpaid, and
-- for the pieces that were returned, and only then.
with returned as (
  select split_part(t.source_ref, ':', 2)::bigint as order_id, sum(e.amount) as credits
  from transfers t join entries e on e.transfer_id = t.id join accounts a on a.id = e.account_id and a.kind = 'wallet'
  where t.reason = 'order.return' group by 1
), voided as (
  select c.order_id, count(distinct c.id) as pieces, sum(f.credits) as credits
  from codes c join code_fundings f on f.code_id = c.id where c.state = 'refunded' group by c.order_id
)
select o.id as order_id, o.state, o.credits, e.amount, o.refunded_pieces, v.pieces as voided, b.credits as returned
from orders o join wallets w on w.id = o.wallet_id
left join transfers t on t.id = o.transfer_id
left join entries e on e.transfer_id = t.id and e.account_id = w.credits_account_id
left join transfers r on r.reverses = t.id
left join returned b on b.order_id = o.id left join voided v on v.order_id = o.id
where w.person_id <> o.person_id or w.program_id <> o.program_id or e.amount is distinct from -o.credits
   or (o.state in ('timed_out', 'cancelled')) <> (r.id is not null)
   or o.refunded_pieces <> coalesce(v.pieces, 0) or coalesce(b.credits, 0) <> coalesce(v.credits, 0);

-- STK-6: An order that was paid has one code per piece, an unpaid one and a gift none, and the codes' credits and lots
-- are those that the order spent.
with codes_of as (
  select c.order_id, count(distinct c.id) as codes, sum(f.credits) as credits
  from codes c left join code_fundings f on f.code_id = c.id group by c.order_id
), kept as (
  select o.*, i.kind in ('donation') or o.state in ('placed', 'paying', 'timed_out', 'cancelled') as codeless
  from orders o join items i on i.id = o.item_id
), spent as (
  select o.id as order_id, u.lot_id, sum(u.amount) as credits from kept o
  join lot_uses u on u.transfer_id = o.transfer_id where not o.codeless group by o.id, u.lot_id
), behind as (
  select c.order_id, f.lot_id, sum(f.credits) as credits from codes c join code_fundings f on f.code_id = c.id
  group by c.order_id, f.lot_id
)
select o.id as order_id, 'codes' as what, o.quantity as expected, c.codes as found from kept o
left join codes_of c on c.order_id = o.id
where case when o.codeless then c.codes is not null
           else c.codes is distinct from o.quantity or c.credits is distinct from o.credits end
union all
select coalesce(s.order_id, b.order_id), 'lots', s.credits, b.credits from spent s
full join behind b on b.order_id = s.order_id and b.lot_id = s.lot_id where s.credits is distinct from b.credits;

-- STK-7: The log of an item's stock sums to its counters.
select i.id as item_id, i.available, m.available as logged, i.reserved, m.reserved as logged_reserved, i.sold,
       m.sold as logged_sold from items i
left join (select item_id, sum(available) as available, sum(reserved) as reserved, sum(sold) as sold
           from stock_movements group by item_id) m on m.item_id = i.id
where (i.available, i.reserved, i.sold) is distinct from (m.available, m.reserved, m.sold);

-- STK-8: A pool's free codes are its stock, and each code that was handed out belongs to an order of its item.
select i.id as item_id, i.available + i.reserved as stock, count(c.id) filter (where c.order_id is null) as free,
       count(c.id) filter (where c.order_id is not null and o.id is null) as strangers
from items i left join pool_codes c on c.item_id = i.id left join orders o on o.id = c.order_id and o.item_id = i.id
where i.kind = 'code_pool' group by i.id
having i.available + i.reserved <> count(c.id) filter (where c.order_id is null)
    or count(c.id) filter (where c.order_id is not null and o.id is null) > 0;

-- STK-9: The places taken of a time are those of its bookings.
select s.id as slot_id, s.taken, b.pieces from service_slots s
left join (select slot_id, sum(pieces) as pieces from bookings where state <> 'cancelled' group by slot_id) b
  on b.slot_id = s.id
where s.taken <> coalesce(b.pieces, 0);

-- STK-10: A parcel that was received has its promises fulfilled, and one that was not received owes nobody yet.
select p.order_id, p.state, count(r.id) as accrued from parcels p join codes c on c.order_id = p.order_id
left join redemptions r on r.code_id = c.id and r.undone_at is null
group by p.order_id, p.state having (p.state = 'received') <> (count(r.id) > 0);

-- COD-1 light: A code's live redemptions spent exactly the uses that it has no longer, none twice; one that is refunded or
-- void was never used.
select c.id as code_id, c.state, c.uses, c.uses_left, count(k) as live, count(distinct k) as different from codes c
left join redemptions r on r.code_id = c.id and r.undone_at is null
left join lateral unnest(r.use_numbers) k on true
group by c.id
having count(k) <> c.uses - c.uses_left or count(distinct k) <> count(k) or max(k) > c.uses
    or (c.state = 'redeemed') <> (count(k) = c.uses) or (c.state in ('refunded', 'void') and count(k) > 0);

-- COD-2 light: No refunded or cancelled order has a live redemption of a piece that went back, or an open code.
select o.id as order_id, o.state, c.id as code_id from orders o join codes c on c.order_id = o.id
left join redemptions r on r.code_id = c.id and r.undone_at is null
where (o.state in ('refunding', 'refunded', 'cancelled', 'timed_out') and (r.id is not null or c.state = 'issued'));

-- COD-3: Scanned in a shop of the code's merchant (or of a merchant of its group), inside its validity, by staff active
-- there then, never by its owner. An offline device's word says when; what no clerk scanned belongs to the code's merchant.
select r.id as redemption_id, r.code_id from redemptions r join codes c on c.id = r.code_id
left join shops s on s.id = r.shop_id
left join merchants m on m.id = s.merchant_id
left join orders o on o.id = c.order_id
left join use_terms t on t.item_id = o.item_id
where r.program_id <> c.program_id
   or case when r.staff_person_id is null then r.merchant_id <> c.merchant_id or r.scan_id <> 'order:' || c.order_id || ':' || c.id
      else s.program_id <> c.program_id or r.merchant_id <> s.merchant_id
        or (c.merchant_id <> m.id and not coalesce(t.group_code = m.group_code, false)
            and not exists (select from code_moves v where v.code_id = c.id and v.from_merchant_id = m.id))
        or coalesce(r.scanned_at, r.redeemed_at) < c.valid_from or coalesce(r.scanned_at, r.redeemed_at) >= c.valid_until
        or r.staff_person_id = c.person_id
        or not exists (
          select from staff f where f.shop_id = r.shop_id and f.person_id = r.staff_person_id
            and coalesce(r.scanned_at, r.redeemed_at) >= f.active_from
            and coalesce(r.scanned_at, r.redeemed_at) < coalesce(f.active_until, 'infinity')) end;

-- COD-4: A code's characters are unique, one scan of a clerk has one result, and one step of a picture is spent once.
select 'code' as what, encode(code_hash, 'hex') as key from codes group by code_hash having count(*) > 1
union all
select 'scan', staff_person_id || ' ' || scan_id from redemptions group by staff_person_id, scan_id having count(*) > 1
union all
select 'step', code_id || ' ' || step from redemptions where step is not null group by code_id, step having count(*) > 1;

-- COD-5: What a code draws from its sponsors is the frozen settlement price, never more than the credits are worth.
select c.id as code_id, c.settlement_fen, sum(f.draw_fen) as drawn from codes c
left join code_fundings f on f.code_id = c.id group by c.id
having coalesce(sum(f.draw_fen), 0) <> c.settlement_fen or bool_or(f.draw_fen * 1000 > f.credits * f.price_fen);

-- COD-6: Each redemption is owed the price of the uses that it spent: use k of n costs floor(k*p/n) - floor((k-1)*p/n).
-- Of the order's money it gets its part, or less where some of that money went back.
select r.id as redemption_id, r.owed_fen, sum(k * c.settlement_fen / c.uses - (k - 1) * c.settlement_fen / c.uses) as price
from redemptions r join codes c on c.id = r.code_id cross join unnest(r.use_numbers) k
group by r.id
having r.owed_fen <> sum(k * c.settlement_fen / c.uses - (k - 1) * c.settlement_fen / c.uses)
    or r.cash_fen > sum(k * c.cash_fen / c.uses - (k - 1) * c.cash_fen / c.uses);

-- COD-7: Credits of a promise come back, or are forfeited, only when it has expired.
select c.id as code_id, c.state, t.reason from codes c
left join transfers t on t.reason in ('code.return', 'code.forfeit') and t.source_ref = 'code:' || c.id
where c.state <> 'expired' and t.id is not null;

-- OWE-1 light: What a merchant's account received for redemptions is the sum of its live redemptions.
with booked as (
  select e.account_id, sum(e.amount) as fen from entries e join transfers t on t.id = e.transfer_id
  where t.reason in ('redeem', 'redeem.undo', 'redeem.fraud') group by e.account_id
), owed as (
  select merchant_id, sum(owed_fen + cash_fen) as fen from redemptions where undone_at is null group by merchant_id
)
select m.id as merchant_id, o.fen as owed, b.fen as booked from merchants m
left join owed o on o.merchant_id = m.id left join booked b on b.account_id = m.payable_account_id
where coalesce(o.fen, 0) <> coalesce(b.fen, 0);

-- OWE-2: Each redemption's transfer pays its merchant exactly what it says, and each undone one was negated.
select r.id as redemption_id, r.owed_fen, r.cash_fen, sum(e.amount) as paid
from redemptions r join merchants m on m.id = r.merchant_id
left join entries e on e.transfer_id = r.transfer_id and e.account_id = m.payable_account_id
left join transfers u on u.id = r.undo_transfer_id
group by r.id, u.id
having coalesce(sum(e.amount), 0) <> r.owed_fen + r.cash_fen
    or (r.transfer_id is not null and (r.undone_at is null) <> (r.undo_transfer_id is null))
    or (r.undone_at is not null and u.reverses is distinct from r.transfer_id);

-- WEL-1: Welfare projects hold what their gifts say, in credits and in fen, and each gift was spent from its giver.
select w.id as project_id, null::bigint as gift_id, w.given_credits as said, g.credits as found from welfare_projects w
left join (select project_id, sum(credits - returned_credits) as credits from gifts group by project_id) g on g.project_id = w.id
where w.given_credits <> coalesce(g.credits, 0)
union all
select w.id, null, coalesce(sum(g.fen), 0),
       coalesce((select sum(e.amount) from entries e join transfers t on t.id = e.transfer_id
                 where e.account_id = w.money_account_id and t.reason = 'gift.pay'), 0)
from welfare_projects w left join gifts g on g.project_id = w.id group by w.id
having coalesce(sum(g.fen), 0)
    <> coalesce((select sum(e.amount) from entries e join transfers t on t.id = e.transfer_id
                 where e.account_id = w.money_account_id and t.reason = 'gift.pay'), 0)
union all
select g.project_id, g.id, g.credits, -e.amount from gifts g
join wallets k on k.person_id = g.person_id and k.program_id = g.program_id
left join entries e on e.transfer_id = g.transfer_id and e.account_id = k.credits_account_id
where e.amount is distinct from -g.credits;
