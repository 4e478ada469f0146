"""What every JSON edge shares: reading strictly, answering in one form, guards beside routes, paging, request ids.

Layer: ``wsgi`` > ``miniprogram_api | console | ingestion | public_site | jobs`` > ``edge`` > ``app``.
"""
