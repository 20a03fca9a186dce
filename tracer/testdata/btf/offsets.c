// What the offsets of a kernel are, according to a C compiler: the expected
// values of the tests come from here and not from tracer.
//
//   bpftool btf dump file /sys/kernel/btf/vmlinux format c > vmlinux.h
//   cc -w -DTIMER='struct inet_connection_sock, icsk_timeout' offsets.c && ./a.out > NAME.offsets
//
// TIMER is the one thing that kernels do not agree on: `struct
// inet_connection_sock, icsk_retransmit_timer.expires` in 6.18, `struct sock,
// tcp_retransmit_timer.expires` in 7.3.
#include "vmlinux.h"
int printf(const char *, ...);
#define at(name, ...) printf(#name ": %zu,\n", (unsigned long)__builtin_offsetof(__VA_ARGS__))
#define cb(name, member) printf(#name ": %zu,\n", __builtin_offsetof(struct sk_buff, cb) + __builtin_offsetof(struct tcp_skb_cb, member))

int main(void)
{
	at(skc_daddr, struct sock, __sk_common.skc_daddr);
	at(skc_rcv_saddr, struct sock, __sk_common.skc_rcv_saddr);
	at(skc_v6_daddr, struct sock, __sk_common.skc_v6_daddr);
	at(skc_v6_rcv_saddr, struct sock, __sk_common.skc_v6_rcv_saddr);
	at(skc_dport, struct sock, __sk_common.skc_dport);
	at(skc_num, struct sock, __sk_common.skc_num);
	at(skc_family, struct sock, __sk_common.skc_family);
	at(skc_state, struct sock, __sk_common.skc_state);
	at(skc_net, struct sock, __sk_common.skc_net.net);
	at(sk_protocol, struct sock, sk_protocol);
	at(sk_socket, struct sock, sk_socket);
	at(socket_inode, struct socket_alloc, vfs_inode.i_ino);
	at(inet_sport, struct inet_sock, inet_sport);
	at(icsk_pending, struct inet_connection_sock, icsk_pending);

	// A bit-field has no offset, but it has bits that can be set.
	static struct inet_connection_sock icsk;
	icsk.icsk_ca_state = ~0;
	unsigned char *bytes = (void *)&icsk;
	unsigned long byte = 0, shift;
	while (!bytes[byte])
		byte++;
	shift = __builtin_ctz(bytes[byte]);
	printf("icsk_ca_state: %zu,\nicsk_ca_state_shift: %zu,\nicsk_ca_state_mask: %d,\n", byte, shift, bytes[byte] >> shift);

	at(icsk_rto, struct inet_connection_sock, icsk_rto);
	at(icsk_backoff, struct inet_connection_sock, icsk_backoff);
	at(icsk_timeout, TIMER);
	at(total_retrans, struct tcp_sock, total_retrans);
	at(bytes_retrans, struct tcp_sock, bytes_retrans);
	at(segs_out, struct tcp_sock, segs_out);
	at(srtt_us, struct tcp_sock, srtt_us);
	at(snd_cwnd, struct tcp_sock, snd_cwnd);
	at(packets_out, struct tcp_sock, packets_out);
	at(snd_wnd, struct tcp_sock, snd_wnd);
	at(tlp_high_seq, struct tcp_sock, tlp_high_seq);
	at(snd_nxt, struct tcp_sock, snd_nxt);
	cb(cb_seq, seq);
	cb(cb_end_seq, end_seq);
	cb(cb_tcp_flags, tcp_flags);
	printf("cb_tcp_flags_size: %zu,\n", sizeof(((struct tcp_skb_cb *)0)->tcp_flags));
	cb(cb_gso_segs, tcp_gso_segs);
	at(skb_head, struct sk_buff, head);
	at(skb_network_header, struct sk_buff, network_header);
	at(skb_transport_header, struct sk_buff, transport_header);
	at(skb_refdst, struct sk_buff, _skb_refdst);
	at(dst_dev, struct dst_entry, dev);
	at(dev_net, struct net_device, nd_net.net);
	at(net_inum, struct net, ns.inum);
	printf("retransmit_has_err: %d,\n",
	       _Generic((btf_trace_tcp_retransmit_skb)0,
			void (*)(void *, const struct sock *, const struct sk_buff *): 0,
			void (*)(void *, const struct sock *, const struct sk_buff *, int): 1));
}
